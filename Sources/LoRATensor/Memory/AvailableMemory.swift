import CLoRASystem

/// What the machine can still give this process.
public enum AvailableMemory {
  /// The bytes that this process could have resident, what it has now included; nil if the system
  /// does not say.
  ///
  /// On Linux the least of what the machine has available, of the limits of the control groups that
  /// the process is in (`memory.max` and `memory.high`, or version 1's), and of its own limits
  /// (`ulimit -v` and `-d`); elsewhere the least of the machine's memory and its own limits.
  public static var current: Int? { ProcessMemory.ofThisProcess.available }

  /// The most address space that this process may have in bytes (`ulimit -v`); nil: no limit.
  public static var addressSpaceLimit: Int? { limit(lora_address_space_limit()) }

  /// The most memory of its own that this process may have in bytes (`ulimit -d`); nil: no limit.
  public static var dataLimit: Int? { limit(lora_data_limit()) }

  /// The bytes of address space that this process can still reserve; nil without a limit.
  public static var addressSpaceLeft: Int? { ProcessMemory.ofThisProcess.addressSpaceLeft }

  private static func limit(_ bytes: Int64) -> Int? { bytes < 0 ? nil : Int(bytes) }
}
