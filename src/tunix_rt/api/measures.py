"""Figures for Prometheus: of this server's requests and intake, and of the ledger when somebody asks. No label holds an id."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from tunix_rt import runs
from tunix_rt.store import Store

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Ledger(Collector):
    """Counts of runs, asked for at the moment they are read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        with self._store.reading() as connection:
            found = runs.figures(connection)
        counts = GaugeMetricFamily("tunix_rt_runs", "Runs of the ledger.", labels=("kind", "state", "reason"))
        spans = SummaryMetricFamily("tunix_rt_run_seconds", "From start to end.", labels=("kind", "state", "reason"))
        for figure in found:
            labels = (figure.kind, figure.state, figure.reason or "")
            counts.add_metric(labels, figure.runs)
            if figure.ended:
                spans.add_metric(labels, figure.ended, figure.seconds)
        waiting = sum(figure.runs for figure in found if figure.state == "queued")
        yield counts
        yield spans
        yield GaugeMetricFamily("tunix_rt_run_queue", "Runs that wait for a worker.", value=waiting)

    def describe(self) -> Iterable[Metric]:
        return ()


class Measures:
    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.requests = Histogram(
            "tunix_rt_request_seconds",
            "Time to answer, by route.",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.traces = Counter(
            "tunix_rt_traces", "Traces sent here, by what became of them.", ("outcome",), registry=self.registry
        )
        self.rows = Counter(
            "tunix_rt_ingested_rows", "Rows of uploads, by what became of them.", ("outcome",), registry=self.registry
        )
        self.registry.register(_Ledger(store))

    def text(self) -> bytes:
        return generate_latest(self.registry)
