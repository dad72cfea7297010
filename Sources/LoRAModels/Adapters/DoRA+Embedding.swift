import LoRAAutograd
import LoRATensor

/// The matrix that the factors of an embedding's adapter are for: the transpose of its table.
private final class EmbeddingMatrix: LinearLayer {
  private let table: Parameter
  let slot = AdapterSlot()

  init(_ table: Parameter) { self.table = table }

  var inputSize: Int { table.shape[0] }
  var outputSize: Int { table.shape[1] }
  var parameters: Named<Parameter> { ["weight": table] }

  func project(_ x: Variable) -> Variable {
    x.matrixProduct(with: Variable(table.value.converted(to: .float32)))
  }

  func denseWeight() -> Tensor { table.value.converted(to: .float32).transposed() }
}

extension DoRAAdapter {
  /// The vectors `y` of `ids` with what this adapter adds to those of `table`, `vectors`: as on a
  /// linear layer, the norms being those of the table's columns.
  func apply(
    to y: Variable, vectors: Variable, ids: Tensor, table: Parameter, strength: Float
  ) -> Variable {
    let gain = gain(on: EmbeddingMatrix(table))
    let product = Variable(a).gatheredColumns(ids).linear(weight: Variable(b))
    return y + vectors.scaledColumns(by: gain.adding(-1).scaled(by: strength))
      + product.scaledColumns(by: gain.scaled(by: scale * strength))
  }
}
