import Foundation
import LoRAFiles
import LoRAModels
import Testing

/// A configuration that is not that of the weights, or says something that is not supported: the error
/// names the file, the key or the tensor, and what is supported.
@Suite struct ContradictionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var model: String
    var key: String
    var value: String
    var kind: FormatError.Kind
    var texts: [String]
    var testDescription: String { "\(model) \(key): \(value)" }

    init(
      _ model: String, _ key: String, _ value: String, _ kind: FormatError.Kind, _ texts: String...
    ) {
      (self.model, self.key, self.value, self.kind, self.texts) = (model, key, value, kind, texts)
    }
  }

  static let cases = [
    Case(
      "models/llama-grouped", "num_hidden_layers", "3", .shapeMismatch,
      "config.json: 'num_hidden_layers': it is 3, and the weights are those of 2 layers"),
    Case(
      "models/llama-grouped", "num_hidden_layers", "1", .shapeMismatch,
      "config.json: 'num_hidden_layers': it is 1, and the weights are those of 2 layers"),
    Case(
      "models/gpt2-tied", "n_layer", "7", .shapeMismatch, "'n_layer': it is 7", "those of 2 layers"),
    Case(
      "encoders/distilbert-classifier", "n_layers", "7", .shapeMismatch, "'n_layers': it is 7",
      "those of 2 layers"),
    Case(
      "models/llama-grouped", "hidden_size", "48", .shapeMismatch, "model.embed_tokens.weight",
      "config.json makes it [64, 48], the file has [64, 32]"),
    Case(
      "models/llama-grouped", "num_key_value_heads", "4", .shapeMismatch, "k_proj.weight",
      "config.json makes it [32, 32], the file has [16, 32]"),
    Case(
      "models/llama-grouped", "hidden_act", "\"swish7\"", .unsupported, "config.json: 'hidden_act'",
      "'swish7'", "supported are 'silu'"),
    Case(
      "models/llama-grouped", "model_type", "\"mamba\"", .unsupported, "config.json: 'model_type'",
      "'mamba'", "supported are 'llama'"),
    Case(
      "models/llama-grouped", "quantization_config", #"{"quant_method": "gptq", "bits": 4}"#,
      .unsupported, "config.json: 'quantization_config'", "gptq"),
    Case(
      "models/llama-grouped", "rope_parameters", #"{"rope_type": "ntk", "rope_theta": 1}"#,
      .unsupported, "config.json: 'rope_parameters.rope_type'", "'ntk'", "supported are"),
    Case(
      "encoders/bert-classifier", "architectures", #"["BertForQuestionAnswering"]"#, .unsupported,
      "config.json: 'architectures'", "the head of 'BertForQuestionAnswering'",
      "supported are 'BertForSequenceClassification', 'BertForTokenClassification'"),
  ]

  @Test(arguments: cases) func isNamed(one: Case) throws {
    let folder = try Fixtures.temporaryFolder()
    let source = Fixtures.path(one.model)
    for name in try FileManager.default.contentsOfDirectory(atPath: source)
    where name.hasSuffix(".json") || name.hasSuffix(".safetensors") {
      try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(folder)/\(name)")
    }
    let path = folder + "/config.json"
    var object = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path)))
        as? [String: Any])
    object[one.key] = try JSONSerialization.jsonObject(
      with: Data(one.value.utf8), options: .fragmentsAllowed)
    try JSONSerialization.data(withJSONObject: object).write(to: URL(filePath: path))
    let error = #expect(throws: FormatError.self) { try PretrainedModel(path: folder) }
    #expect(error?.kind == one.kind)
    for text in one.texts {
      #expect(error?.description.contains(text) == true, "\(error?.description ?? "")")
    }
  }
}
