"""`python -m pluggable_mlp.cli`: the command line without its console script."""

from pluggable_mlp.cli import main

main()
