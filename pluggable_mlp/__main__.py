"""`python -m pluggable_mlp`: the command line without its console script."""

try:
    from pluggable_mlp.cli import main
except KeyboardInterrupt:  # before the command line answers
    raise SystemExit(130) from None

main()
