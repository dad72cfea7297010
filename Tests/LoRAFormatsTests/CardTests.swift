import LoRAFiles
import LoRAFormats
import LoRAJSON
import Testing

/// Cards of adapters whose names are anything; and what models are called in them.
@Suite struct CardTests {
  private func card(_ change: (inout AdapterRecord) -> Void) -> String {
    var record = AdapterRecord(making: .training, software: "lora 1", task: "text")
    change(&record)
    return AdapterCard(record, name: "support", parameterCount: 7).text
  }

  /// What a reader of YAML could take for something else is quoted; what the hub could not call so is left
  /// out of the head.
  @Test func namesCantBreakTheHead() {
    let text = card { record in
      record.base.name = "evil\n---\nlicense: mit"
      record.license = "no"
      record.data = [.init(use: "train", name: "a b: c.jsonl"), .init(use: "eval", name: "x.csv")]
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    #expect(lines.prefix { $0 != AdapterCard.mark }.filter { $0 == "---" }.count == 2)
    #expect(lines.contains("license: \"no\"") && !lines.contains("license: mit"))
    #expect(!text.contains("base_model"))
    #expect(lines.contains("- x.csv") && !lines.contains("- a b: c.jsonl"))
    #expect(text.contains("evil --- license: mit"))
  }

  @Test func tablesHoldAnyText() {
    let text = card { record in
      record.settings = [.init("targets", .text("regex:(q|v)_proj<b>"))]
      record.results = [.init("eval_accuracy_after", 0.5), .init("steps", 3)]
    }
    #expect(text.contains("| targets | regex:(q\\|v)\\_proj&lt;b> |"))
    #expect(text.contains("| steps | 3 |") && text.contains("metrics:\n- accuracy\n"))
  }

  @Test func modelsHavePublicNames() {
    for (path, name) in [
      ("/home/me/models/qwen-tuned/", "qwen-tuned"), ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
      (
        "/home/me/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B/snapshots/ab12",
        "Qwen/Qwen2.5-0.5B"
      ),
      ("../base.gguf", "base.gguf"), ("model", "model"),
    ] { #expect(AdapterRecord.publicName(ofModel: path) == name) }
  }
}
