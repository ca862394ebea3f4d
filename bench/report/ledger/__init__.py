"""The reproduction ledger: every table and figure of the paper as published | ours with interval | verdict. No torch.

docs/reproduce.md says what each verdict means and by which rule it is given.
"""
