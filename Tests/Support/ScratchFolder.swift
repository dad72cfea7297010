import Foundation

/// Folders for what tests write, among the system's temporary ones. All are gone when the process
/// ends.
package enum ScratchFolder {
  private static let root: String = {
    atexit { try? FileManager.default.removeItem(atPath: ScratchFolder.root) }
    return FileManager.default.temporaryDirectory
      .appending(path: "lora-tests-\(UUID().uuidString)").path
  }()

  /// A new empty folder.
  package static func make() throws -> String {
    let folder = root + "/" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }
}
