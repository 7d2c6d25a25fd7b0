"""`python -m pluggable_mlp`: the command line without its console script."""

from pluggable_mlp.cli import main

main()
