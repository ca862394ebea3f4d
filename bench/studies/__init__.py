"""Studies of the embedded suite, each one command that resumes: ablations, the bake-off, quality against budget."""
