"""From the times of steps to what users see: so many requests in flight, or so many a second.

Little's law ties the two (in flight = rate x time of a request), and a fixed point is searched. A prompt is read in
the steps that others decode in, so that every prompt makes their steps longer, and theirs its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from shipfit.sizing.speed.replica import Replica, Times

_CLOSE = 1e-6
_ROUNDS = 60


@dataclass(frozen=True)
class Speed:
    """What a user of the deployment sees, on average.

    Attributes:
        ttft_s: seconds to the first token.
        tpot_s: seconds a token after the first.
        tokens_per_s: output tokens a second, of all replicas together.
        in_flight: requests in flight in each replica.
        overloaded: whether requests arrive faster than they are answered; the times are then those of a full
            replica, and the queue in front of it grows without end.
    """

    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    in_flight: float
    overloaded: bool

    def request_s(self, tokens_out: int) -> float:
        """Seconds of a whole request."""
        return self.ttft_s + self.tpot_s * (tokens_out - 1)


def step_s(replica: Replica, batch: float, context: float) -> float:
    """Seconds of one decoding step.

    Args:
        replica: where.
        batch: requests in flight; a mean, so not always whole.
        context: tokens that each has in the KV cache.
    """
    return replica.times.step_s(batch, context)


def prefill_s(replica: Replica, tokens: int) -> float:
    """Seconds to read a prompt, alone.

    Args:
        replica: where.
        tokens: of the prompt.
    """
    return replica.times.prefill_s(tokens)


def steady(
    replica: Replica, concurrency: int, tokens_in: int, tokens_out: int, *, seats: float = math.inf
) -> Speed:
    """The speed with always so many requests in flight: each that is answered is followed by another.

    Args:
        replica: where.
        concurrency: requests in flight.
        tokens_in: of a prompt.
        tokens_out: of an answer.
        seats: requests that the replica takes in at once; the others wait for a seat, which TTFT includes.
    """
    return steady_with(replica.times, concurrency, tokens_in, tokens_out, seats)


def steady_with(
    times: Times, concurrency: float, tokens_in: int, tokens_out: int, seats: float = math.inf
) -> Speed:
    """``steady`` for a replica whose steps take other times than are known of it."""
    batch = min(concurrency, max(seats, 1.0))
    context = tokens_in + tokens_out / 2
    decode = times.step_s(batch, context)
    added = times.added_s(tokens_in, batch - 1)
    under_way = decode / 2 if batch > 1 else 0.0
    ttft = (
        times.request_s
        + under_way
        + times.prefill_s(tokens_in, batch - 1, context)
        + times.crowding * (batch - 1) * added
    )
    # While a request decodes for x seconds, it meets its share, x / (x + ttft), of the others' prompts:
    # x = steps + prompts * x / (x + ttft)
    steps, prompts = max(tokens_out - 1, 1) * decode, (batch - 1) * added
    half = (ttft - steps - prompts) / 2
    decoding = math.sqrt(half * half + steps * ttft) - half
    tpot = decoding / max(tokens_out - 1, 1)
    longest = decode + _fullest_s(times, tokens_in, batch - 1)
    ttft += max(tpot - longest, 0.0) * (tokens_out - 1)
    tpot = min(tpot, longest)
    whole = ttft + tpot * (tokens_out - 1)
    waiting = (concurrency - batch) / batch * whole
    return Speed(ttft + waiting, tpot, batch * tokens_out / whole, batch, concurrency > batch)


def serve(
    replica: Replica, replicas: int, rate: float, tokens_in: int, tokens_out: int, seats: float
) -> Speed:
    """The speed under Poisson arrivals, of which every replica gets an equal share.

    Args:
        replica: one of the replicas.
        replicas: how many there are.
        rate: requests a second, over all of them.
        tokens_in: of a prompt.
        tokens_out: of an answer.
        seats: requests that a replica takes in at once.
    """
    load = _Load(replica.times, tokens_in, tokens_out, seats)
    most = load.most()
    overloaded = rate / replicas > most
    own = min(rate / replicas, most)
    in_flight = seats if overloaded else load.in_flight(own)
    ttft, tpot = load.times(own, in_flight)
    return Speed(ttft, tpot, own * replicas * tokens_out, in_flight, overloaded)


def max_rate(
    replica: Replica,
    tokens_in: int,
    tokens_out: int,
    seats: float,
    *,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    e2e_s: float | None = None,
) -> float:
    """The largest rate that one replica serves within limits, in requests a second; 0 where even one is too slow.

    Args:
        replica: where.
        tokens_in: of a prompt.
        tokens_out: of an answer.
        seats: requests that the replica takes in at once.
        ttft_s: limit of the mean time to the first token.
        tpot_s: limit of the mean time a token after it.
        e2e_s: limit of the mean time of a request.
    """
    load = _Load(replica.times, tokens_in, tokens_out, seats)

    def excess(rate: float) -> float:
        ttft, tpot = load.times(rate, load.in_flight(rate))
        reached = (ttft, tpot, ttft + tpot * (tokens_out - 1))
        limits = (ttft_s, tpot_s, e2e_s)
        return max(
            (value / limit - 1 for value, limit in zip(reached, limits, strict=True) if limit is not None),
            default=-1.0,
        )

    most = load.most()
    if excess(most) <= 0:
        return most
    return 0.0 if excess(0.0) > 0 else _root(excess, 0.0, most)


class _Load:
    """One replica under Poisson arrivals of requests of the same lengths."""

    def __init__(self, times: Times, tokens_in: int, tokens_out: int, seats: float) -> None:
        self._times, self._tokens_in, self._steps, self._seats = times, tokens_in, tokens_out - 1, seats
        self._context = tokens_in + tokens_out / 2

    def times(self, rate: float, in_flight: float) -> tuple[float, float]:
        """TTFT and TPOT with so many requests in flight.

        Prompts of others take their share of the time, so that every step is longer by it; a new request waits for
        the step that is under way and for prompts before its own (M/D/1: Kleinrock, "Queueing Systems", 1975).
        """
        times = self._times
        batch = min(max(in_flight, 1.0), self._seats)
        added = times.added_s(self._tokens_in, batch - 1)
        left = 1 - rate * added
        if left <= 0:
            return math.inf, math.inf
        decode = times.step_s(batch, self._context)
        tpot = decode / left
        waiting = rate * added * added / (2 * left)
        under_way = tpot / 2 if batch > 1 else 0.0
        own = times.prefill_s(self._tokens_in, batch - 1, self._context)
        ttft = times.request_s + own + waiting + under_way
        longest = decode + _fullest_s(times, self._tokens_in, batch - 1)
        return ttft + max(tpot - longest, 0.0) * self._steps, min(tpot, longest)

    def in_flight(self, rate: float) -> float:
        """Requests in flight at a rate that the replica keeps up with."""
        return _root(lambda batch: batch - rate * self._whole(rate, batch), 0.0, self._seats)

    def most(self) -> float:
        """The rate at which all seats are taken."""
        bound = self._seats / self._whole(0.0, self._seats)
        return _root(lambda rate: rate * self._whole(rate, self._seats) - self._seats, 0.0, bound)

    def _whole(self, rate: float, batch: float) -> float:
        ttft, tpot = self.times(rate, batch)
        return ttft + tpot * self._steps if self._steps else ttft


def _fullest_s(times: Times, tokens_in: int, beside: float) -> float:
    """Seconds that prompts add at most to a step, whose budget bounds what it takes in.

    So no token of an answer takes longer than a full step; what prompts add beyond that is waited for by requests
    that have no place in a step yet.
    """
    prompts = max(times.budget - beside, 1.0) / tokens_in
    return prompts * times.added_s(tokens_in, beside, max(prompts, 1.0))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is zero between two places; the end that is nearest to zero where it is not.

    By regula falsi that halves a stuck end's value (Dowell, Jarratt, "The Illinois method", 1971).
    """
    at_low, at_high = rising(low), rising(high)
    if at_low >= 0:
        return low
    if at_high <= 0:
        return high
    side = 0
    for _ in range(_ROUNDS):
        middle = (
            (low + high) / 2 if math.isinf(at_high) else (low * at_high - high * at_low) / (at_high - at_low)
        )
        value = rising(middle)
        if value == 0:
            return middle
        if value < 0:
            low, at_low = middle, value
            at_high = at_high / 2 if side < 0 else at_high
            side = -1
        else:
            high, at_high = middle, value
            at_low = at_low / 2 if side > 0 else at_low
            side = 1
        if high - low <= _CLOSE * high:
            break
    return low
