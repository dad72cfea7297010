import CLoRASystem

/// The memory available to this process.
public enum AvailableMemory {
  /// The number of bytes that this process could have resident, including what it has now; nil if
  /// the system does not report it.
  ///
  /// On Linux this is the minimum of the machine's available memory, the limits of the process's
  /// control groups (`memory.max` and `memory.high`, or version 1's), and its own limits
  /// (`ulimit -v` and `-d`); elsewhere the minimum of the machine's memory and its own limits.
  public static var current: Int? { ProcessMemory.ofThisProcess.available }

  /// The limit of this process's address space in bytes (`ulimit -v`); nil for no limit.
  public static var addressSpaceLimit: Int? { limit(lora_address_space_limit()) }

  /// The limit of this process's own memory in bytes (`ulimit -d`); nil for no limit.
  public static var dataLimit: Int? { limit(lora_data_limit()) }

  /// The number of bytes of address space that this process can still reserve; nil for no limit.
  public static var addressSpaceLeft: Int? { ProcessMemory.ofThisProcess.addressSpaceLeft }

  private static func limit(_ bytes: Int64) -> Int? { bytes < 0 ? nil : Int(bytes) }
}
