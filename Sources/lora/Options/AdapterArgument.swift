import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAKit

/// `ADAPTER` or `ADAPTER:SCALE`. A path that exists as it stands is one, colons and all.
struct AdapterArgument: Sendable {
  let path: String
  let strength: Float

  /// Reads an argument; an option's `transform`.
  init(_ argument: String) throws(ValidationError) {
    if argument.isEmpty { throw ValidationError("the adapter's path is empty") }
    guard !FileSystem.exists(argument), let colon = argument.lastIndex(of: ":") else {
      (path, strength) = (argument, 1)
      return
    }
    let (before, text) = (String(argument[..<colon]), argument[argument.index(after: colon)...])
    // C:\adapters, https://host/adapters, a:b/adapters: a path, which whoever opens it reports.
    if text.contains("/") || text.contains("\\") {
      (path, strength) = (argument, 1)
      return
    }
    if before.isEmpty { throw ValidationError("there is no adapter before the colon") }
    (path, strength) = (before, try Self.scale(text, of: before))
  }

  /// Throws wrong usage if `path`, which `option` names, is an adapter with a scale behind it: for
  /// commands that take none.
  static func demandNoScale(_ path: String?, _ option: String) throws(ValidationError) {
    guard let path, let argument = try? AdapterArgument(path), argument.path != path,
      FileSystem.exists(argument.path)
    else { return }
    throw ValidationError(
      "\(option) takes no scale here: give '\(argument.path)'; to scale the adapter itself: "
        + "lora combine --adapter \(path) --type cat --output DIR")
  }

  private static func scale(
    _ text: Substring, of path: String
  ) throws(ValidationError) -> Float {
    let advice = "write \(path):0.5 for half of it"
    if text.isEmpty { throw ValidationError("the scale behind the colon is missing; \(advice)") }
    guard let number = Double(text), !number.isNaN else {
      throw ValidationError(
        "scale '\(text)' is not a number, and there is no file '\(path):\(text)'; \(advice)")
    }
    let scale = Float(number)
    guard scale.isFinite else {
      throw ValidationError("scale '\(text)' is not a finite float32 number; \(advice)")
    }
    // What is no zero must not become one: the adapter would be off without a word.
    let digits = text.prefix { !"eE".contains($0) }
    guard scale != 0 || !digits.contains(where: { "123456789".contains($0) }) else {
      throw ValidationError(
        "scale '\(text)' is too small for a float32 number; write \(path):0 to switch it off")
    }
    return scale
  }
}

/// `--allow-no-effect` and `--allow-other-base`.
struct AcceptanceOptions: ParsableArguments {
  @Flag(
    help: """
      Accept an adapter that changes nothing, such as one that was never trained, which is otherwise an \
      error.
      """)
  var allowNoEffect = false
  @Flag(
    help: "Accept an adapter that was made for another base model, which is otherwise an error.")
  var allowOtherBase = false
}

/// The adapters that apply to a model.
struct AdapterOptions: ParsableArguments {
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "An adapter of any format: a folder or a file, and after a colon its strength (1 without). "
        + "Repeat the option to add several.",
      valueName: "adapter[:scale]"),
    transform: AdapterArgument.init)
  var adapters: [AdapterArgument] = []
  @OptionGroup var accepting: AcceptanceOptions

  /// The model at `path`, with the head of a classifier that one of the adapters brings where the model
  /// has none.
  func openModel(_ path: String, type: DType?) throws -> PretrainedModel {
    if let base = try PretrainedModel.configuration(at: path),
      !base.architecture.classifierKinds.isEmpty
    {
      for adapter in adapters {
        // What there is to say of it is said when it is attached.
        let file = try AdapterFile.opened(adapter.path, toAttachTo: path, isTold: false)
        if try file.classifier(on: base) != nil {
          return try PretrainedModel(path: path, headOf: file, type: type)
        }
      }
    }
    return try PretrainedModel(path: path, type: type)
  }

  /// Reads the adapters, attaches and enables them on `model`, which was opened from `path`; what
  /// was chosen.
  ///
  /// - Parameter names: what they are called, in their order; by numbers if nil.
  @discardableResult
  func attach(
    to model: any Module, from path: String, names: [String]? = nil
  ) throws -> AdapterSelection {
    var selection = AdapterSelection()
    for (index, adapter) in adapters.enumerated() {
      let name = names?[index] ?? "adapter-\(index)"
      do {
        let warnings = try model.loadAdapter(
          try AdapterFile.opened(adapter.path, toAttachTo: path), named: name,
          allowsNoEffect: accepting.allowNoEffect || adapter.strength == 0,
          allowsOtherBase: accepting.allowOtherBase)
        StandardError.warnings(warnings.map { "\(adapter.path): \($0)" })
      } catch let error as AdapterError {
        throw CommandError(adapter.path, error)
      }
      selection.strengths[name] = adapter.strength
    }
    try model.enableAdapters(selection)
    return selection
  }
}

/// What the commands have in common that make one adapter of others.
struct MadeAdapterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The base model. GGUF adapters need it; others are checked against it.", valueName: "model"))
  var base: String?
  @Option(help: ArgumentHelp("The PEFT adapter's folder to write.", valueName: "dir"))
  var output: String
}
