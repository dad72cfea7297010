import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The part of a model to train.
public enum TrainingTarget: Sendable, Hashable {
  /// The adapter with this name; the base is frozen.
  case adapter(String)
  /// The base model, without adapters.
  case full

  /// The adapters that apply during training.
  var selection: AdapterSelection {
    switch self {
    case .adapter(let name): AdapterSelection(name)
    case .full: [:]
    }
  }

  /// Freezes and unfreezes the parameters of `model` and returns those to train.
  func prepare(_ model: any Module) throws -> [NamedParameter] {
    switch self {
    case .adapter(let name):
      guard model.adapterNames.contains(name) else {
        throw AdapterError.unknownAdapter(name, available: model.adapterNames)
      }
      model.setTrainable(false)
      return model.adapterParameters(named: name)
    case .full:
      model.prepareForFullTraining()
      return model.namedParameters()
    }
  }
}

extension TrainingTarget: CustomStringConvertible {
  /// A description of the target, in words.
  public var description: String {
    switch self {
    case .adapter(let name): "the adapter '\(name)'"
    case .full: "the whole model"
    }
  }
}

extension Module {
  /// Makes every parameter of the base float32 and trainable.
  ///
  /// Updates are far smaller than the spacing of bfloat16 numbers, so narrow weights can't be
  /// trained. The model computes with its widened weights from now on, which take twice the memory.
  /// Widening is exact. Weights that lie in a file get memory of their own, which updates would give them one
  /// by one, and the file's pages are let go. Adapters do not change.
  public func prepareForFullTraining() {
    for (_, parameter) in namedParameters() {
      let value = parameter.value
      guard value.dtype.isFloatingPoint else { continue }
      if value.dtype != .float32 {
        parameter.value = value.converted(to: .float32)
        value.releaseMappedPages()
      } else if value.isMapped {
        var own = value
        // Asking to write copies what lies in a file.
        own.withUnsafeMutableBytes { _ in }
        parameter.value = own
        value.releaseMappedPages()
      }
      parameter.isTrainable = true
    }
  }
}
