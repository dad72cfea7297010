import LoRAFormats
import LoRAKit

extension AdapterRecord {
  /// The record of a training on the files of `input`, without results: the data are hashed now.
  ///
  /// - Parameters:
  ///   - input: what the task was given.
  ///   - task: the task.
  ///   - base: what the model is.
  ///   - exampleCount: the number of examples that are learned from.
  ///   - licenses: what may be done with the adapter, and with the data.
  ///   - settings: those of the adapter and of its training.
  init(
    of input: TaskInput, _ task: TaskArgument, base: Base, exampleCount: Int,
    licenses: LicenseOptions, settings: [Entry]
  ) throws {
    self.init(
      making: .training, software: Version.software, base: base, task: task.rawValue,
      license: licenses.license, settings: settings)
    data = try input.data.map { file in
      // How many examples are of which file is not known of several.
      try DataFile(
        use: "train", path: file.path, examples: input.data.count == 1 ? exampleCount : nil,
        license: licenses.dataLicense)
    }
    if let file = input.evalData {
      data.append(try DataFile(use: "eval", path: file, license: licenses.dataLicense))
    }
  }
}
