"""`results/metrics.json`: few numbers, of C²VL alone."""

from __future__ import annotations

from c2vl.report.headlines import headlines


def test_headlines_are_top_1_by_protocol_benchmark_and_stream() -> None:
    top = {"top1": 0.123456, "top5": 0.9}
    learnt = {
        "linear": {"xsub": {"joint": {"c2vl": top, "random": top}, "fusion_equal": {"c2vl": top}}},
        "knn": {"xsub": {"joint": {"random": top}}},
        "samples": {"xsub": {"train": 1}},
    }
    semi = {"c2vl": {"0.1": {"labelled": 3, "top1": {"mean": 0.5, "std": 0.1}}}, "scratch": {}}
    protocols = {
        "finetune": {"xsub": {"joint": {"c2vl": top, "scratch": top}}},
        "semi": {"xsub": {"joint": semi}},
        "transfer": {"b": {"source": "xsub", "streams": {"joint": {"c2vl": top}}}},
    }
    assert headlines(learnt, protocols) == {
        "linear": {"xsub": {"joint": 0.1235}},
        "knn": {"xsub": {}},
        "finetune": {"xsub": {"joint": 0.1235}},
        "semi": {"xsub": {"joint": {"0.1": 0.5}}},
        "transfer": {"b": {"joint": 0.1235}},
    }
    assert headlines({}, {}) == {}
