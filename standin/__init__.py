"""A server on this machine that stands in for the model providers, in fair weather and foul.

    from standin import Fault, StandIn

    with StandIn("429|500|reset|html:rate=0.3,seed=7") as server:
        server.base_url("openai")       # http://127.0.0.1:…/openai/v1
        server.key("openai")            # the key it accepts
        server.environment()            # {"OPENAI_API_KEY": …, …} for coevol's own process
        …
        server.order("no_balance")      # from now on
        server.order()                  # fair weather
        server.requests                 # every request: see standin.app.Request
        server.chats("openai")          # those to a model

It speaks the protocols of OpenAI, GLM, Qianfan V2 (`ernie`), Wenxin V1 (`wenxin`) and vLLM side by side,
refuses what the real ones refuse, answers as an agent of this project would, from the request's text alone,
and lets things go wrong to order (`standin.faults`). Everything else that can be set is in
`standin.options.Options`, by keyword. In a process of its own it is `python -m standin` (`--help`).

What it does not cover: streaming, several replies to a request, tools, images, TLS.
"""

from standin.app import Request
from standin.faults import KINDS, RETRYABLE, Fault, FaultError
from standin.server import StandIn

__all__ = ["KINDS", "RETRYABLE", "Fault", "FaultError", "Request", "StandIn"]
