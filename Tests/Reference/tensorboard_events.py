"""Reads event files that LoRAKit wrote with TensorBoard's own EventAccumulator, and checks them.

Writes Fixtures/training/events.tfevents with TensorBoard's own writer, whose bytes the Swift test compares with.

usage: tensorboard_events.py fixture          write the fixture
       tensorboard_events.py check DIR LOG    compare a folder of `lora train --tensorboard DIR --log LOG`
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

FIXTURE = Path(__file__).resolve().parent.parent / "Fixtures" / "training" / "events.tfevents"


def fixture():
    def scalars(*pairs):
        return summary_pb2.Summary(
            value=[summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in pairs])

    def text(tag, content):
        return summary_pb2.Summary(value=[summary_pb2.Summary.Value(
            tag=tag,
            tensor=tensor_pb2.TensorProto(
                dtype=types_pb2.DT_STRING,
                tensor_shape=tensor_shape_pb2.TensorShapeProto(
                    dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]),
                string_val=[content.encode()]),
            metadata=summary_pb2.SummaryMetadata(
                plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text"),
                data_class=summary_pb2.DATA_CLASS_TENSOR))])

    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    events = [
        event_pb2.Event(wall_time=1.5, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=2.5, step=301, session_log=start),
        event_pb2.Event(wall_time=3.5, step=301, summary=scalars(
            ("loss", 2.25), ("gradient_norm", 0.5), ("learning_rate", 0.001),
            ("tokens_per_second", 1234.5))),
        event_pb2.Event(wall_time=4.5, step=301, summary=scalars(
            ("eval/nll", float("nan")), ("eval/f1", 0.75))),
        event_pb2.Event(wall_time=5.5, step=301, summary=text(
            "sample/2", "prompt:\n\n    これは\n    何?\n\nanswer:\n\n    <b>")),
        event_pb2.Event(wall_time=6.5, step=301, summary=text("warning", "it diverges")),
    ]
    with open(FIXTURE, "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString(deterministic=True))
    print(FIXTURE, FIXTURE.stat().st_size, "bytes")


def check(folder, log):
    accumulator = event_accumulator.EventAccumulator(
        folder, size_guidance={event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0})
    accumulator.Reload()
    lines = [json.loads(line) for line in open(log)]
    steps = [line for line in lines if "loss" in line]
    single = lambda number: struct.unpack("f", struct.pack("f", number))[0]
    for tag in ["loss", "gradient_norm", "learning_rate", "tokens_per_second"]:
        found = [(event.step, event.value) for event in accumulator.Scalars(tag)]
        expected = [(line["step"], single(line[tag])) for line in steps]
        assert found == expected, (tag, len(found), len(expected))
    keys = sorted({key for line in lines for key in line if key.startswith("eval_")})
    for key in keys:
        # The log begins with step 1, TensorBoard with what was measured before it.
        found = [(e.step, e.value) for e in accumulator.Scalars("eval/" + key[5:]) if e.step > 0]
        expected = [(line["step"], single(line[key])) for line in lines if key in line]
        assert found == expected, (key, found, expected)
    samples = [line for line in lines if "sample" in line]
    for line in samples:
        tensors = accumulator.Tensors(f"sample/{line['prompt'] + 1}")
        texts = [t.tensor_proto.string_val[0].decode() for t in tensors if t.step == line["step"]]
        assert len(texts) == 1 and line["sample"].split("\n")[0] in texts[0], (line, texts)
    print(f"{len(steps)} steps, {len(keys)} measured values and {len(samples)} samples agree")


if __name__ == "__main__":
    fixture() if sys.argv[1] == "fixture" else check(*sys.argv[2:4])
