"""Why a task gained or lost: signs read from logs of training, and rules that name a lever. Imports no torch."""
