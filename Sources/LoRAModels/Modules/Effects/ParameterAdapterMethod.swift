/// A method whose adapters PEFT can attach to parameters, as those of experts.
package protocol ParameterAdapterMethod: AdapterMethod {
  /// What of these options it can't; nil if nothing is in the way.
  var obstacleForParameters: String? { get }
}
