"""What calls cost, where the price is known.

Prices are those of the installed package genai-prices, which holds the providers' price lists; upgrading it
brings newer ones, without any network access. They are list prices in US dollars, looked up by the address
that was called: a proxy, a vLLM server or `rehearsal:` has none. A price that the settings give takes their
place. Discounts of an account, of batches or of off-peak hours are not included.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from models.settings import Endpoint, located

TIER_FACTORS = {"flex": 0.5, "priority": 2.0}
"""What a call costs in a service tier, as a multiple of the price in the tier `default`, where no list has
more: https://developers.openai.com/api/docs/pricing, of whose factors for priority this is the highest."""


def cost(
    endpoint: Endpoint,
    calls: int,
    input_tokens: int,
    cached_tokens: int,
    output_tokens: int,
    at: datetime,
    tier: str | None = None,
) -> float | None:
    """Return the price of so many calls in US dollars; None where it is unknown.

    `cached_tokens` is the part of `input_tokens` that came from a cache; `at` is when the calls were made,
    `tier` the service tier that they were served in. Where long requests have a higher price, it applies if
    the average call is one.
    """
    cached_tokens = min(cached_tokens, input_tokens)  # earlier versions recorded counts as they came
    factor = TIER_FACTORS.get(tier or "", 1.0) if endpoint.provider == "openai" else 1.0
    if endpoint.price:
        fresh, cached, output = endpoint.price
        dollars = (input_tokens - cached_tokens) * fresh + cached_tokens * cached + output_tokens * output
        return factor * dollars / 1_000_000
    url = located(endpoint).base_url
    if url is None or not calls:
        return None
    from genai_prices import Usage, calc_price  # slow to load

    average = Usage(
        input_tokens=Decimal(input_tokens) / calls,
        cache_read_tokens=Decimal(cached_tokens) / calls,
        output_tokens=Decimal(output_tokens) / calls,
    )
    try:
        price = calc_price(
            average,
            endpoint.name,
            provider_api_url=url,
            genai_request_timestamp=at,
            price_context={"service_tier": tier} if tier else None,
        )
    except LookupError:
        return None
    # Of Azure's tiers the list knows nothing.
    return float(price.total_price * calls) * (factor if price.provider.id == "azure" else 1.0)


@lru_cache
def has_tier(endpoint: Endpoint, tier: str) -> bool:
    """Whether a model that OpenAI serves at its own address has a service tier, as far as prices show it."""
    now = datetime.now(UTC)
    prices = [cost(endpoint._replace(price=None), 1, 1000, 0, 1000, now, each) for each in ("default", tier)]
    return tier == "default" or None in prices or prices[0] != prices[1]
