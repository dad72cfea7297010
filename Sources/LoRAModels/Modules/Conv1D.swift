public import LoRAAutograd
public import LoRATensor

/// The linear layer of GPT-2, whose checkpoints have W as its transpose, `[inputSize, outputSize]`.
///
/// The weight is transposed once, when the layer is made: from there on every product, adapter and
/// merge is that of ``Linear``. Saving a model transposes it back. PEFT calls the layout
/// `fan_in_fan_out`; the factors of its adapters have the shapes that they have anywhere.
public final class Conv1D: LinearLayer {
  /// W, `[outputSize, inputSize]`.
  public let weight: Parameter?
  private let matrix: Parameter
  /// `[outputSize]`.
  public let bias: Parameter?
  /// Where adapters are attached.
  public let slot = AdapterSlot()

  /// Creates a layer from what a checkpoint holds: a weight `[inputSize, outputSize]`, and a bias.
  /// Traps if they are not a matrix and a vector that fit.
  public init(storedWeight: Parameter, bias: Parameter? = nil) {
    let shape = storedWeight.shape
    require(
      shape.count == 2 && (bias == nil || bias?.shape == [shape[1]]),
      "Conv1D of weight \(shape), bias \(bias.map { "\($0.shape)" } ?? "none")")
    let stored = storedWeight.value
    let transposed = stored.layoutTransposed()
    stored.releaseMappedPages()
    matrix = Parameter(
      transposed, isTrainable: storedWeight.isTrainable, storedType: storedWeight.storedType)
    weight = matrix
    self.bias = bias
  }

  /// Creates a layer from a weight that is `[outputSize, inputSize]` already, as GGUF files have it.
  init(weight: Parameter, bias: Parameter?) {
    matrix = weight
    self.weight = weight
    self.bias = bias
  }

  /// The size of the last dimension of inputs.
  public var inputSize: Int { matrix.shape[1] }
  /// The size of the last dimension of outputs.
  public var outputSize: Int { matrix.shape[0] }
  /// Checkpoints have the transpose.
  public var storesTransposedWeight: Bool { true }

  /// `weight`, and `bias` if there is one.
  public var parameters: Named<Parameter> { ["weight": matrix] + .optional("bias", bias) }

  /// `x Wᵀ`, without bias or adapters.
  public func project(_ x: Variable) -> Variable { x.linear(weight: Variable(matrix)) }

  /// W as float32.
  public func denseWeight() -> Tensor { matrix.value.converted(to: .float32) }
}
