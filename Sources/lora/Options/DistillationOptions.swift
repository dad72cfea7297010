import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAKit

/// What `lora train` learns of another adapter, or of the base.
struct DistillationOptions: ParsableArguments {
  /// Who teaches.
  enum Teacher: Sendable {
    case base
    case adapter(AdapterArgument)

    init(argument: String) throws {
      self = argument == "base" ? .base : .adapter(try AdapterArgument(argument))
    }
  }

  @Option(
    help: ArgumentHelp(
      "Learn, beside the data, how likely another adapter finds each next token, or the base does: "
        + "distillation. For --task text.", valueName: "adapter[:scale]|base"),
    transform: Teacher.init(argument:))
  var teacher: Teacher?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The teacher's share in the loss, from 0 to 1. (default: 0.5)", valueName: "share"))
  var teacherShare: Float?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What the logits of both are divided by: more makes unlikely tokens count. (default: 1)",
      valueName: "temperature"))
  var teacherTemperature: Float?

  /// The adapter's path.
  var path: String? {
    if case .adapter(let adapter)? = teacher { adapter.path } else { nil }
  }

  /// What the adapter's record says of it.
  var recordOfSettings: [AdapterRecord.Entry] {
    let name: String
    switch teacher {
    case nil: return []
    case .base?: name = "the base"
    case .adapter(let adapter)?:
      name =
        FileSystem.name(of: adapter.path) + (adapter.strength == 1 ? "" : ":\(adapter.strength)")
    }
    let usual = Distillation(from: [:])
    return [
      .init("teacher", .text(name)),
      .init("teacher_share", Double(teacherShare ?? usual.share)),
      .init("teacher_temperature", Double(teacherTemperature ?? usual.temperature)),
    ]
  }

  func validate() throws {
    try demand("--teacher-share", teacherShare, .from(0, to: 1))
    try demand("--teacher-temperature", teacherTemperature, .above(0))
    let option =
      teacherShare != nil
      ? "--teacher-share" : teacherTemperature != nil ? "--teacher-temperature" : nil
    if teacher == nil, let option {
      throw ValidationError("\(option) makes no sense without --teacher")
    }
  }

  /// Throws wrong usage for a task, or a way of training it, that has no teacher.
  func check(for task: TaskArgument, isFull: Bool) throws {
    guard teacher != nil else { return }
    if task != .text { throw ValidationError("--teacher is for --task text; leave it out") }
    if isFull {
      throw ValidationError(
        "--teacher: with --method full the teacher would change with the model; train an adapter")
    }
  }

  /// The objective on `base`, opened from `path`, to which a teacher is attached.
  func objective(on base: any PretrainedLanguageModel, from path: String) throws -> Distillation? {
    let selection: AdapterSelection
    switch teacher {
    case nil: return nil
    case .base?: selection = [:]
    case .adapter(let adapter)?:
      let name = "teacher"
      let file = try AdapterFile.opened(adapter.path, toAttachTo: path)
      StandardError.warnings(
        try base.loadAdapter(file, named: name, enabled: false).map { "\(adapter.path): \($0)" })
      selection = [name: adapter.strength]
    }
    var result = Distillation(from: selection)
    result.share = teacherShare ?? result.share
    result.temperature = teacherTemperature ?? result.temperature
    return result
  }
}
