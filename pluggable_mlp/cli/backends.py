"""`pluggable-mlp backends`: what is here, and why the rest is not."""

__all__ = ["backends"]


def backends() -> None:
    """List the backends that can be used here, and why the others cannot."""
    from rich.console import Console
    from rich.table import Table

    from pluggable_mlp.backends import available_backends

    table = Table("backend", "here", "version", "devices, or why not", box=None, pad_edge=False)
    for status in available_backends():
        if status.available:
            detail = ", ".join(status.devices) if status.devices else "installed, not yet imported"
        else:
            detail = f"{status.reason}; {status.remedy}"
        table.add_row(
            status.name, "yes" if status.available else "no", status.version or "", detail
        )
    Console(markup=False, highlight=False, soft_wrap=True).print(table)
