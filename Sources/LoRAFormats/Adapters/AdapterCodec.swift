import LoRAFiles
import LoRAJSON
import LoRATensor

/// One format of adapters: how its files are known, read and written.
///
/// A format is a folder beside this file, with its codec, and a line in ``AdapterFormat/codecs``. What
/// opens, detects and writes adapters asks that list.
protocol AdapterCodec: Sendable {
  /// The format.
  var format: AdapterFormat { get }
  /// What its tensors are called, for errors; nil for a format that is not known by its tensors.
  var example: String? { get }
  /// What files of the format begin with; nil for safetensors files.
  var magic: [UInt8] { get }
  /// The keys that its `adapter_config.json` is known by; empty for a format without one.
  var configurationKeys: [String] { get }
  /// The files with factors that its folders may have; empty for a format of single files.
  var weightsFiles: [String] { get }

  /// Whether the format calls a tensor so.
  func hasTensor(named name: String) -> Bool
  /// Whether a safetensors file says itself that it is of this format.
  func marks(_ file: SafetensorsFile) -> Bool
  /// Whether an `adapter_config.json` is of this format.
  func describes(_ configuration: JSONObject) -> Bool
  /// Reads the adapter at `path`, which is of this format.
  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent
  /// What reading a file of this format gives back, made of `description`: another only where the format
  /// has other layers for the same function.
  func described(
    _ description: AdapterDescription, _ options: AdapterFile.Options
  ) throws(FormatError) -> AdapterDescription
  /// The adapter as files of this format at `path` can express it. Throws `FormatError` for what they
  /// can't.
  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted
}

extension AdapterCodec {
  var example: String? { nil }
  var magic: [UInt8] { [] }
  var configurationKeys: [String] { [] }
  var weightsFiles: [String] { [] }

  func hasTensor(named name: String) -> Bool { false }
  func marks(_ file: SafetensorsFile) -> Bool { false }
  func described(
    _ description: AdapterDescription, _ options: AdapterFile.Options
  ) throws(FormatError) -> AdapterDescription {
    description
  }
  func describes(_ configuration: JSONObject) -> Bool {
    configurationKeys.contains { configuration[$0] != nil }
  }
}

extension AdapterFormat {
  /// The codecs of all formats. Of two that could have a tensor the first has it.
  static let codecs: [any AdapterCodec] = [
    PEFTCodec(), MLXCodec(), KohyaCodec(format: .kohya), KohyaCodec(format: .lycoris),
    DiffusersCodec(), LoralibCodec(), GGUFCodec(), AdapterHubCodec(),
  ]

  /// The codec of this format.
  var codec: any AdapterCodec {
    guard let codec = Self.codecs.first(where: { $0.format == self }) else {
      misuse("the format \(self) has no codec")
    }
    return codec
  }
}

/// What reading an adapter's files gives.
struct AdapterContent: Sendable {
  /// See ``AdapterFile/description``, and so on.
  var description: AdapterDescription
  var provenance = AdapterFile.Provenance()
  var notes: [AdapterNote] = []
  var assumesScale = false
  var peftConfiguration: PEFTAdapterConfiguration?
  var mlxConfiguration: MLXAdapterConfiguration?
  var adapterHubConfiguration: AdapterHubConfiguration?
}

extension AdapterContent {
  /// Of a file that notes where the adapter comes from in its metadata.
  init(_ description: AdapterDescription) {
    self.init(
      description: description,
      provenance: AdapterFile.Provenance(metadata: description.metadata))
  }
}
