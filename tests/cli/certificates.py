"""Certificates that say something else than the run that wrote them."""

import hashlib
import json


def sealed(content):
    """Return a certificate with the hash of its content, as the documentation defines it."""
    content.pop("sha256", None)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {**content, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def edited(certificate, edit):
    """Change what a certificate says, and its hash."""
    content = json.loads(certificate.read_text())
    edit(content)
    certificate.write_text(json.dumps(sealed(content)))
