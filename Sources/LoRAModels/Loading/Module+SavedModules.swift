import LoRAFormats

extension Module {
  /// Of the modules of this model that a PEFT configuration says were saved whole, every parameter
  /// must be there: with some of them left the base's, the function would be another one.
  func checkSavedModules(of file: PEFTAdapterFile, path: String) throws(FormatError) {
    guard !file.configuration.savedModules.isEmpty else { return }
    let present = Set(file.description.replacements.map(\.path))
    for (modulePath, module) in modules()
    where file.configuration.saves(modulePath: modulePath) {
      for (name, _) in module.parameters where !present.contains("\(modulePath).\(name)") {
        throw FormatError(
          .missingTensor, file: path, subject: "'\(modulePath).\(name)'",
          problem: "'modules_to_save' in adapter_config.json names its module, but the file has no "
            + "value of it",
          remedy: "the adapter is incomplete, or made for another model")
      }
    }
  }
}
