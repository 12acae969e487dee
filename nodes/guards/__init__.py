"""The guards: checks of a draft that need no model, between the editor and the judge.

A draft that one of them refuses is not judged, which saves two calls, and never becomes training data: the
exchange ends with its current response. They are ours, not the paper's (`--guards off`). In doubt a draft
passes; the judge is still to come. What each looks for, and how often it refuses a good response, is in
docs/guards.md. `order` has them in the order in which they are asked, `node` the graph's node.

Each is a comparison: what the current response does too, or the request calls for, is no reason to refuse.
All take time linear in the length of the texts.
"""
