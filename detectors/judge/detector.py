"""The detector: samples in, scores out, by asking a guard model about each."""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Final

import msgspec

from detectors.api import Category, Part, Sample
from detectors.judge.breaker import Breaker
from detectors.judge.classify import Classify
from detectors.judge.client import Client
from detectors.judge.config import JudgeConfig
from detectors.judge.errors import BadConfig, JudgeError
from detectors.judge.families import Family, Scores
from detectors.judge.gpt_oss_safeguard import GptOssSafeguard
from detectors.judge.qwen3guard import Qwen3Guard
from detectors.judge.usage import Usage
from detectors.judge.windows import windows_of

FAMILIES: Final[Mapping[str, Callable[[JudgeConfig], Family]]] = MappingProxyType(
    {"gpt-oss-safeguard": GptOssSafeguard, "qwen3guard": Qwen3Guard, "classify": Classify}
)
KEPT_S: Final = 10.0
"""For how long what is known of a failed batch answers for its samples, one by one."""
LEAST_FAILURES: Final = 4

_Asked = Future[Scores | JudgeError]

_PROBE: Final = tuple(Sample("text", part, "prompt") for part in Part)
_SETTINGS: Final = (
    *("policy", "labels", "categories", "is_multi_label", "label_probabilities", "use_logprobs"),
    *("max_chars", "overlap_chars", "max_windows"),
)
"""What a score depends on besides the requests."""


def family_of(config: JudgeConfig) -> Family:
    """Return the family that the settings name.

    Raises:
        BadConfig: there is none of that name, or its settings do not fit.
    """
    if config.family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise BadConfig(f"judge {config.name!r}: family is {config.family!r}; one of {known}")
    family = FAMILIES[config.family](config)
    if config.parts and not config.parts <= family.parts:
        can = ", ".join(sorted(family.parts))
        raise BadConfig(f"judge {config.name!r}: parts: {config.family} can judge {can}")
    return family


def version_of(config: JudgeConfig, family: Family) -> str:
    """Return a digest of all that a score depends on: what would be sent, and how it is read.

    The weights are known by the model's name alone: serve other weights under another name.
    """
    probes = [family.request(it) for it in _PROBE if it.part in family.parts]
    settings = {it: getattr(config, it) for it in _SETTINGS}
    all_of_it = msgspec.json.encode(
        [config.family, family.parser, probes, settings], order="sorted"
    )
    return f"{config.family}-{hashlib.sha256(all_of_it).hexdigest()[:12]}"


class Judge:
    """A guard model behind a URL as a detector; docs/judge.md.

    Unlike other detectors it can fail on any text: then `score` raises, and nothing is made up.
    """

    def __init__(self, config: JudgeConfig, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a judge; asks the guard nothing yet.

        Raises:
            BadConfig: the settings do not fit each other, or the CA file cannot be read.
        """
        self._config = config
        self._family = family_of(config)
        self._version = version_of(config, self._family)
        self._clock = clock
        prices = (config.prompt_price_per_million, config.completion_price_per_million)
        self._usage = Usage(*prices)
        self._client = Client(config, self._usage, clock)
        limit = max(LEAST_FAILURES, config.max_concurrency)
        self._breaker = Breaker(limit, config.pause_s, clock)
        self._threads = ThreadPoolExecutor(config.max_concurrency, f"judge-{config.name}")
        self._free = threading.Semaphore(config.max_concurrency)
        self._kept: dict[Sample, Scores | JudgeError] = {}
        self._kept_until = 0.0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name that the operator gave it."""
        return self._config.name

    @property
    def version(self) -> str:
        """The family, and a digest of policy, template, model's name and what else counts."""
        return self._version

    @property
    def parts(self) -> frozenset[Part]:
        """What it is to judge."""
        return self._config.parts or self._family.parts

    @property
    def categories(self) -> frozenset[Category]:
        """What it can give scores for."""
        return self._family.categories

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return self._usage

    @property
    def is_paused(self) -> bool:
        """Say whether the guard, which failed many times in a row, is left alone now."""
        return self._breaker.left_s() > 0

    def score(self, samples: Sequence[Sample]) -> Sequence[Scores]:
        """Return a mapping for each sample: the highest score of its windows, by category.

        Asks about up to `max_concurrency` windows at once, and cuts no more ahead. All samples are
        seen to the end before one's failure is raised; asked within `KEPT_S` about each of them
        alone, as the screener does then, the judge answers from what it knows, once, without asking
        the guard again.

        Raises:
            JudgeError: of a sample there is no score.
        """
        found = self._remembered(samples)
        outcomes = found or self._ask(dict.fromkeys(samples))
        errors = [it for it in outcomes.values() if isinstance(it, JudgeError)]
        if errors:
            if len(samples) > 1:
                self._remember(outcomes)
            raise errors[0]
        return [it for sample in samples if not isinstance(it := outcomes[sample], JudgeError)]

    def close(self) -> None:
        """End the threads once their requests have ended, and close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _ask(self, samples: Mapping[Sample, None]) -> dict[Sample, Scores | JudgeError]:
        pending = {sample: self._submit(sample) for sample in samples}
        return {sample: self._outcome(it) for sample, it in pending.items()}

    def _submit(self, sample: Sample) -> list[_Asked] | JudgeError:
        """Have the windows of a sample judged, each once there is a thread for it."""
        config = self._config
        if not sample.text:
            return []  # in no text there is no misuse, and no guard is needed to see it
        try:
            windows = windows_of(sample, config.max_chars, config.overlap_chars, config.max_windows)
        except JudgeError as error:
            self._usage.failed(error.kind)
            return error
        return [self._submit_window(window) for window in windows]

    def _submit_window(self, window: Sample) -> _Asked:
        self._free.acquire()
        try:
            asked = self._threads.submit(self._judge, window)
        except RuntimeError:  # closed meanwhile
            self._free.release()
            raise
        asked.add_done_callback(lambda _: self._free.release())
        return asked

    def _outcome(self, pending: Sequence[_Asked] | JudgeError) -> Scores | JudgeError:
        """Wait for all windows of a sample; one that failed makes the sample fail."""
        if isinstance(pending, JudgeError):
            return pending
        highest = dict.fromkeys(self.categories, 0.0) if not pending else {}
        failed: JudgeError | None = None
        for asked in pending:
            found = asked.result()
            if isinstance(found, JudgeError):
                failed = failed or found
            else:
                highest |= {it: max(score, highest.get(it, 0.0)) for it, score in found.items()}
        return failed or highest

    def _judge(self, window: Sample) -> Scores | JudgeError:
        """Ask about one window, in a thread of the pool."""
        try:
            self._breaker.check()
            body = msgspec.json.encode(self._family.request(window))
            answer = self._post(body)
            self._usage.answered(answer)
            ruling = self._family.parse(answer, window.part)
        except JudgeError as error:
            self._usage.failed(error.kind)
            error.__context__ = None  # it and the traceback hold frames, and those the text
            return error.with_traceback(None)
        self._usage.scored(is_by_label_alone=ruling.is_by_label_alone)
        return ruling.scores

    def _post(self, body: bytes) -> bytes:
        try:
            answer = self._client.post(self._family.path, body)
        except JudgeError as error:
            self._breaker.heard(error)
            raise
        self._breaker.heard(None)
        return answer

    def _remember(self, outcomes: Mapping[Sample, Scores | JudgeError]) -> None:
        with self._lock:
            self._kept = dict(outcomes)
            self._kept_until = self._clock() + KEPT_S

    def _remembered(self, samples: Sequence[Sample]) -> dict[Sample, Scores | JudgeError] | None:
        with self._lock:
            if len(samples) != 1 or self._clock() > self._kept_until:
                self._kept = {}
                return None
            outcome = self._kept.pop(samples[0], None)
        return None if outcome is None else {samples[0]: outcome}
