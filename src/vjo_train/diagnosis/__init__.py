"""Why a task gained or lost: signs read from the logs of training, and rules that name a lever.

May import: nothing; no torch.
"""
