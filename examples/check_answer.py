"""A check for `coevol evolve --check`: a response names the reference, in at most 1,500 characters.

It gets the record as JSON and ends with 0 where the response agrees, and with 1 where it does not.
"""

import json
import sys

record = json.load(sys.stdin)
response, reference = record["response"], record["reference"]
if len(response) > 1500:
    sys.exit("too long")  # status 1; the last line is shown next to the refused draft
if reference not in response.replace(",", ""):
    sys.exit(f"{reference} is nowhere in it")
