"""Who is asked for a role: its model at each address where it is served."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import dumps

import httpx2
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from models.errors.kinds import Failure
from models.keys import Keys
from models.limits.context_window import ContextWindow
from models.limits.rate_limiter import ConcurrencyPool, RateLimiter, WaitReason
from models.limits.vllm_queue import VllmQueueControl
from models.policy import GatewayPolicy
from models.providers.chat_models import chat_model
from models.providers.parameters import draft_parameters, form_body, identity
from models.routing.circuit_breaker import CircuitBreaker, Outage
from models.routing.endpoint_state import EndpointState, tell_apart
from models.routing.load_balancer import LoadBalancer
from models.routing.role_client import RoleClient
from models.settings import Endpoint, Limits, ModelSettings, Role, located


def endpoint_state(
    endpoint: Endpoint,
    key: SecretStr,
    settings: ModelSettings,
    client: httpx2.AsyncClient,
    limiter: RateLimiter,
    policy: GatewayPolicy,
) -> EndpointState:
    """Create the state of an endpoint."""
    at = endpoint, key.get_secret_value(), client
    is_vllm = endpoint.provider in ("vllm", "reward")
    return EndpointState(
        endpoint,
        limiter,
        ContextWindow(*at, settings, policy.context_poll_interval),
        CircuitBreaker(policy.probe_interval),
        VllmQueueControl(*at, limiter, policy.queue_poll_interval) if is_vllm else None,
    )


def role_client(
    model: BaseChatModel, state: EndpointState, role: Role, settings: ModelSettings, keys: Keys
) -> RoleClient:
    """Create the client of a role at an endpoint."""
    endpoint = state.endpoint
    return RoleClient(
        model,
        state,
        identity(endpoint, role, settings),
        form_body(endpoint, role, settings),
        keys.variable(endpoint, role),
        draft_parameters(endpoint, settings),
    )


def replica_set(settings: ModelSettings, role: Role) -> tuple[Endpoint, ...]:
    """Return where a role's model is served."""
    return tuple(map(located, settings.replicas(role)))


def replica_sets(settings: ModelSettings) -> list[tuple[Endpoint, ...]]:
    """Return where the models of a run are served, each model once."""
    return list(dict.fromkeys(replica_set(settings, role) for role in settings.roles))


class Router:
    """The endpoints of a run. Belongs to one event loop.

    Raises:
        MissingKey: when created, where a role's model needs a key that is not set.
    """

    def __init__(
        self,
        settings: ModelSettings,
        limits: Limits,
        keys: Keys,
        client: httpx2.AsyncClient,
        policy: GatewayPolicy,
    ) -> None:
        self.pool = ConcurrencyPool(limits.concurrency)
        self._states: dict[Endpoint, EndpointState] = {}
        self._clients: dict[Role, dict[EndpointState, RoleClient]] = {role: {} for role in settings.roles}
        self._balancers: dict[Role, LoadBalancer] = {}
        self._at_work: Counter[str] = Counter()
        models: dict[tuple[Endpoint, SecretStr, str], BaseChatModel] = {}
        shared: dict[tuple[Endpoint, ...], LoadBalancer] = {}
        for role in settings.roles:
            endpoints = replica_set(settings, role)
            for endpoint in endpoints:
                key = keys.of(endpoint, role)
                if endpoint not in self._states:
                    limiter = self.pool.limiter(limits.rpm, limits.tpm, policy.rate)
                    self._states[endpoint] = endpoint_state(endpoint, key, settings, client, limiter, policy)
                # Creating a model takes a while, so roles that send the same share one.
                which = endpoint, key, dumps(settings.further(role), sort_keys=True)
                if which not in models:
                    models[which] = chat_model(endpoint, role, settings, key, client)
                state = self._states[endpoint]
                self._clients[role][state] = role_client(models[which], state, role, settings, keys)
            self._balancers[role] = shared.setdefault(endpoints, LoadBalancer(tuple(self._clients[role])))
        tell_apart(tuple(self._states.values()))

    def balancer(self, role: Role) -> LoadBalancer:
        """Return the load balancer over the servers of a role's model."""
        return self._balancers[role]

    def client(self, role: Role, sample: str, now: float) -> RoleClient:
        """Return the client for a sample's next call. `now` is the loop's time."""
        return self._clients[role][self._balancers[role].pick(sample, now)]

    def any_client(self, role: Role) -> RoleClient:
        """Return some client of a role: what identifies its requests is the same for all replicas."""
        return next(iter(self._clients[role].values()))

    @contextmanager
    def at_work(self, sample: str, homes: Sequence[int] = ()) -> Iterator[None]:
        """Keep all calls of a sample to a model at the same replica: the one that `homes` says of each of
        `replica_sets`, otherwise the one with the fewest samples."""
        for balancer, home in zip(dict.fromkeys(self._balancers.values()), homes, strict=False):
            balancer.settle(sample, home)
        self._at_work[sample] += 1
        try:
            yield
        finally:
            self._at_work[sample] -= 1
            if not self._at_work[sample]:
                del self._at_work[sample]
                for balancer in self._balancers.values():
                    balancer.release(sample)

    def trust(self, roles: Sequence[Role]) -> None:
        """Take the settings of these roles for right: their models replied to another worker of the run."""
        for role in roles:
            for state, client in self._clients[role].items():
                state.is_trusted = True
                client.startup.reply_received()

    def waiting(self) -> list[WaitReason]:
        """Return the calls that wait for more than a place in flight."""
        return [reason for state in self._states.values() for reason in state.waiting()]

    def outages(self) -> list[Outage]:
        """Return the replicas that are down while others are up."""
        found = (outage for balancer in self._balancers.values() for outage in balancer.outages())
        return list(dict.fromkeys(found))

    def unreachable(self, now: float) -> dict[Role, float]:
        """Return for how many seconds models could not be reached at any of their addresses, by the roles
        that they play. `now` is the loop's time."""
        found = ((role, balancer.unreachable_since) for role, balancer in self._balancers.items())
        return {role: now - since for role, since in found if since is not None}

    def suspects(self) -> set[str]:
        """Return the samples that were refused where this need not be their own doing."""
        return {sample for state in self._states.values() for sample in state.refusals.suspects()}

    def refused_at_the_end(self) -> tuple[Failure, int] | None:
        """Return how the last calls to an endpoint failed; see `RefusalCheck.at_the_end`."""
        found = (state.refusals.at_the_end() for state in self._states.values())
        return next(filter(None, found), None)

    def stop(self, reason: Exception) -> None:
        """Send away all waiting calls with an exception."""
        for state in self._states.values():
            state.limiter.stop(reason)

    async def close(self) -> None:
        """Stop polling the servers."""
        for state in self._states.values():
            if state.queue:
                await state.queue.close()
