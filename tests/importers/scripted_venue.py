"""A tiny venue that speaks Binance's klines over HTTP and can be told what to get wrong, request by request."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
]
_LENGTHS = {"1m": 60_000, "1d": 86_400_000}


class ScriptedMarket:
    """Bars without an end from `start_ms` on, up to the one that contains `now_ms`; minute i opens at 100 + i.

    `missing` holds opens that the venue does not have, `wrong` those whose high lies below their low. `faults` are
    answers (status, headers, body) given to the next kline requests instead of bars; `faults_at` are the same for
    other paths. `asked` logs the requests.
    """

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.now_ms = start_ms + 100 * 60_000 + 30_000
        self.pairs = [("BTC", "USDT"), ("ETH", "USDT")]
        self.missing: set[int] = set()
        self.wrong: set[int] = set()
        self.faults: list[tuple[int, dict[str, str], str]] = []
        self.faults_at: dict[str, list[tuple[int, dict[str, str], str]]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.most_rows = 1000
        self.delay_s = 0.0

    def kline_requests(self) -> list[dict[str, str]]:
        """The parameters of the kline requests so far."""
        return [parameters for path, parameters in self.asked if path.endswith("/klines")]

    def answer(self, path: str, parameters: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body of the answer to a request."""
        self.asked.append((path, parameters))
        if self.faults_at.get(path):
            return self.faults_at[path].pop(0)
        if path.endswith("/exchangeInfo"):
            return _ok({"timezone": "UTC", "symbols": self._symbols("/fapi/" in path)})
        if path.endswith("/time"):
            return _ok({"serverTime": self.now_ms})
        if not path.endswith("/klines"):
            return 404, {}, "{}"
        return self.faults.pop(0) if self.faults else _ok(self._klines(parameters))

    def _symbols(self, perpetual: bool) -> list[dict[str, Any]]:
        extra = {"contractType": "PERPETUAL", "marginAsset": "USDT", "pair": "BTCUSDT"} if perpetual else {}
        return [
            {"symbol": base + quote, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": _FILTERS}
            | {"permissions": ["SPOT"], "isSpotTradingAllowed": True}
            | extra
            for base, quote in self.pairs
        ]

    def _klines(self, parameters: dict[str, str]) -> list[list[Any]]:
        step = _LENGTHS[parameters["interval"]]
        limit = min(int(parameters.get("limit", 500)), self.most_rows)
        first = max(self.start_ms, -(-int(parameters["startTime"]) // step) * step)
        opens = (open_ms for open_ms in range(first, self.now_ms + 1, step) if open_ms not in self.missing)
        return [self.kline(open_ms, step) for open_ms, _ in zip(opens, range(limit), strict=False)]

    def kline(self, open_ms: int, step: int) -> list[Any]:
        """Return a bar as REST gives it."""
        price = 100 + (open_ms - self.start_ms) // step
        high = price - 5 if open_ms in self.wrong else price + 1
        prices = [f"{value:.2f}" for value in (price, high, price - 1, price + 0.5)]
        return [open_ms, *prices, "2.5", open_ms + step - 1, "250.0", 3, "1.0", "100.0", "0"]


class ScriptedVenue(ScriptedMarket):
    """The market, over HTTP, inside a `with` block."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"


def _ok(body: object) -> tuple[int, dict[str, str], str]:
    return 200, {}, json.dumps(body)


def _handler(venue: ScriptedVenue) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if venue.delay_s and parts.path.endswith("/klines"):
                threading.Event().wait(venue.delay_s)
            status, headers, body = venue.answer(parts.path, parameters)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
