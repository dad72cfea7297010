import LoRAAutograd
public import LoRAModels
import LoRATensor

/// What of a model is trained.
public enum TrainingTarget: Sendable, Hashable {
  /// The adapter of this name, alone. The base is frozen.
  case adapter(String)
  /// The base itself, without adapters.
  case full

  /// Which adapters apply during training.
  var selection: AdapterSelection {
    switch self {
    case .adapter(let name): AdapterSelection(name)
    case .full: [:]
    }
  }

  /// Freezes or frees `model` as wanted and returns what will be trained.
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
  /// What is trained, in words.
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
  /// An update is far smaller than the spacing of bfloat16 numbers, so narrow weights can't be
  /// trained as such: the model computes in its widened weights from now on, which cost twice the
  /// memory. Widening is exact. Adapters are not touched.
  public func prepareForFullTraining() {
    for (_, parameter) in namedParameters() {
      let value = parameter.value
      guard value.dtype.isFloatingPoint else { continue }
      if value.dtype != .float32 {
        parameter.value = value.converted(to: .float32)
        value.releaseMappedPages()
      }
      parameter.isTrainable = true
    }
  }
}
