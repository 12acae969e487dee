"""What calls cost, where the price is known.

Prices are those of the installed package genai-prices, which holds the providers' price lists; upgrading it
brings newer ones, without any network access. They are list prices in US dollars, looked up by the address
that was called: a proxy, a vLLM server or `rehearsal:` has none. Discounts of an account, of batches or of
off-peak hours are not included.
"""

from datetime import datetime
from decimal import Decimal

from genai_prices import Usage, calc_price

from models.settings import Endpoint, located


def cost(
    endpoint: Endpoint, calls: int, input_tokens: int, cached_tokens: int, output_tokens: int, at: datetime
) -> float | None:
    """Return the price of so many calls in US dollars; None where it is unknown.

    `cached_tokens` is the part of `input_tokens` that came from a cache; `at` is when the calls were made.
    Where long requests have a higher price, it applies if the average call is one.
    """
    url = located(endpoint).base_url
    if url is None or not calls:
        return None
    average = Usage(
        input_tokens=Decimal(input_tokens) / calls,
        cache_read_tokens=Decimal(cached_tokens) / calls,
        output_tokens=Decimal(output_tokens) / calls,
    )
    try:
        price = calc_price(average, endpoint.name, provider_api_url=url, genai_request_timestamp=at)
    except LookupError:
        return None
    return float(price.total_price * calls)
