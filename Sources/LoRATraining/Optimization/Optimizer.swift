public import LoRAAutograd
public import LoRAModels
public import LoRATensor

/// A recipe for computing new parameter values from gradients, such as ``AdamW`` or ``SGD``.
///
/// An optimizer is a value without state. Its state for a parameter is a ``ParameterState``, kept
/// under the parameter's path in an ``OptimizerState``, so that a run can be saved and resumed.
///
/// A custom optimizer computes the update of one parameter:
///
/// ```swift
/// struct Descent: Optimizer {
///   func update(
///     _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
///     state: inout ParameterState
///   ) {
///     let rate = Float(settings.learningRate) * settings.gradientScale
///     parameter.value = parameter.value - gradient.scaled(by: rate)
///   }
/// }
/// trainer.optimizer = Descent()
/// ```
public protocol Optimizer: Sendable {
  /// The name and every setting that affects an update, such as `AdamW(beta1: 0.9, ...)`: a saved
  /// run resumes only with the same identifier. By default the printed value.
  var identifier: String { get }

  /// Throws ``TrainingError/invalidOption(name:value:expected:)`` for invalid settings. A run calls
  /// it first; by default every setting is valid.
  func check() throws(TrainingError)

  /// The shapes of the state tensors for a parameter of `shape`, by name, which are zero before the
  /// first update. None by default.
  func stateShapes(of shape: Shape) -> [String: Shape]

  /// The types of those state tensors that are not float32, by name: `uint8` for codes of 8 bits. None
  /// by default.
  func stateTypes(of shape: Shape) -> [String: DType]

  /// The bytes that an update of a parameter of `shape` needs beside its state while it runs, for
  /// predicted memory. 0 by default.
  func scratchBytes(of shape: Shape) -> Int

  /// Replaces the value of `parameter`; must not write into a tensor that others may be reading.
  ///
  /// - Parameters:
  ///   - parameter: the parameter, whose value is float32.
  ///   - gradient: its gradient, in its shape, before multiplication by the settings' scale.
  ///   - settings: the settings of this update.
  ///   - state: the parameter's state; its count already includes this update.
  func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState)
}

/// The settings of one update of one parameter.
public struct UpdateSettings: Sendable, Hashable {
  /// The learning rate, multiplied by the schedule's factor.
  public var learningRate: Double
  /// The weight decay.
  public var weightDecay: Double
  /// The factor to multiply the gradient by first: the clipping coefficient.
  public var gradientScale: Float

  /// Creates settings.
  public init(learningRate: Double, weightDecay: Double = 0, gradientScale: Float = 1) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.gradientScale = gradientScale
  }
}

/// The state of an optimizer for one parameter.
public struct ParameterState: Sendable, Equatable {
  /// The number of updates.
  public var updates = 0
  /// The tensors by name, as ``Optimizer/stateShapes(of:)`` lists them.
  public var tensors: [String: Tensor] = [:]

  /// The state before the first update.
  public init() {}

  /// Removes and returns the tensor `name`. If nobody else holds it, it can be changed in place and
  /// put back into ``tensors``. Traps if the optimizer does not list it.
  public mutating func take(_ name: String) -> Tensor {
    guard let tensor = tensors.removeValue(forKey: name) else {
      preconditionFailure(
        "an optimizer's state has no tensor '\(name)'; list it in stateShapes(of:)")
    }
    return tensor
  }
}

/// The state of an optimizer, by the paths of the updated parameters.
public struct OptimizerState: Sendable, Equatable {
  /// The state of each parameter that has been updated at least once.
  public var parameters: [String: ParameterState] = [:]

  /// The state before the first step.
  public init() {}

  /// The state of the parameter at `path`; nil before its first update.
  public subscript(path: String) -> ParameterState? { parameters[path] }

  /// Forgets the parameters that have not been updated.
  mutating func dropUnused() { parameters = parameters.filter { $0.value.updates > 0 } }
}

extension Optimizer {
  /// The printed value: for a structure, its name and properties.
  public var identifier: String { String(describing: self) }

  /// Accepts every setting.
  public func check() throws(TrainingError) {}

  /// No state.
  public func stateShapes(of shape: Shape) -> [String: Shape] { [:] }

  /// Float32 alone.
  public func stateTypes(of shape: Shape) -> [String: DType] { [:] }

  /// None.
  public func scratchBytes(of shape: Shape) -> Int { 0 }

  /// The bytes of the state for a parameter of `shape`.
  package func stateBytes(of shape: Shape) -> Int {
    let types = stateTypes(of: shape)
    return stateShapes(of: shape).reduce(0) { sum, item in
      sum + (types[item.key] ?? .float32).byteCount(ofElements: item.value.elementCount)
    }
  }

  /// Updates the parameters that have a gradient; the others do not change.
  ///
  /// - Parameters:
  ///   - gradients: the gradients.
  ///   - groups: the parameters to update and their settings. No path may occur twice.
  ///   - factor: the schedule's factor on each group's learning rate.
  ///   - gradientScale: the factor to multiply every gradient by first: the clipping coefficient.
  ///   - state: the state left by earlier steps; a parameter's first update allocates its part.
  public func step(
    _ gradients: Gradients, groups: [ParameterGroup], factor: Double = 1,
    gradientScale: Float = 1, state: inout OptimizerState
  ) {
    for group in groups {
      let settings = UpdateSettings(
        learningRate: group.learningRate * factor, weightDecay: group.weightDecay,
        gradientScale: gradientScale)
      for (path, parameter) in group.parameters {
        guard let gradient = gradients[parameter] else { continue }
        require(
          gradient.shape == parameter.shape,
          "a gradient of shape \(gradient.shape) for '\(path)' of shape \(parameter.shape)")
        // Taken out of the table, so that its tensors are unique and change in place.
        var own =
          state.parameters.removeValue(forKey: path) ?? initialState(of: parameter.shape)
        own.updates += 1
        update(parameter, gradient: gradient, settings: settings, state: &own)
        state.parameters[path] = own
      }
    }
  }

  /// Makes the states that the first update of parameters will ask for, before anything else needs memory.
  /// Made between the gradients and activations of a step they would lie among what the step frees again,
  /// and the next one would find no room for its largest gradient there. ``OptimizerState/dropUnused()`` takes
  /// back what no update came for.
  func prepare(_ groups: [ParameterGroup], _ state: inout OptimizerState) {
    for (path, parameter) in groups.flatMap(\.parameters) where state.parameters[path] == nil {
      state.parameters[path] = initialState(of: parameter.shape)
    }
  }

  private func initialState(of shape: Shape) -> ParameterState {
    var state = ParameterState()
    let types = stateTypes(of: shape)
    for (name, shape) in stateShapes(of: shape) {
      state.tensors[name] = .zeros(shape, dtype: types[name] ?? .float32)
    }
    return state
  }
}

/// Parameters that share a learning rate and a weight decay.
public struct ParameterGroup: Sendable {
  /// The parameters with their paths.
  public var parameters: [NamedParameter]
  /// The learning rate before the schedule's factor.
  public var learningRate: Double
  /// The weight decay.
  public var weightDecay: Double

  /// Creates a group.
  public init(_ parameters: [NamedParameter], learningRate: Double, weightDecay: Double = 0) {
    self.parameters = parameters
    self.learningRate = learningRate
    self.weightDecay = weightDecay
  }
}
