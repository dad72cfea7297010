extension ProcessMemory {
  /// What the limits of the process's control group, and of those around it, leave to this process,
  /// which has `own` bytes itself: others in a group have their share of its limit.
  func groupLimits(own: Int) -> [Int] {
    controlGroups.flatMap { group in
      group.folders.flatMap { folder -> [Int] in
        let limits = group.version.limits.compactMap { name in
          contents("\(folder)/\(name)").flatMap(Self.limit)
        }
        guard let limit = limits.min() else { return [] }
        return [max(0, limit - others(in: folder, group.version, own: own))]
      }
    }
  }

  /// The two interfaces of the kernel.
  enum GroupVersion {
    case first
    case second

    /// The files of limits. Above `memory.high` a group is not killed, but slowed down to a crawl.
    var limits: [String] {
      self == .first ? ["memory.limit_in_bytes"] : ["memory.max", "memory.high"]
    }

    /// What `memory.stat` calls memory that is no copy of a file.
    var anonymous: String { self == .first ? "total_rss" : "anon" }
  }

  /// The control groups of memory that the process is in, each with the folder of the group and those
  /// of the groups around it.
  private var controlGroups: [(version: GroupVersion, folders: [String])] {
    guard let text = contents("/proc/self/cgroup") else { return [] }
    let mounts = groupMounts
    return text.split(separator: "\n").flatMap { line -> [(GroupVersion, [String])] in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { return [] }
      let isSecond = parts[0] == "0" && parts[1].isEmpty
      guard isSecond || parts[1].split(separator: ",").contains("memory") else { return [] }
      let version: GroupVersion = isSecond ? .second : .first
      return mounts.filter { $0.version == version }.map { mount in
        (version, Self.folders(of: String(parts[2]), under: mount.point, showing: mount.root))
      }
    }
  }

  /// Where control groups are mounted, and which group is seen there; the usual places where the
  /// kernel's list can't be read.
  private var groupMounts: [(version: GroupVersion, root: String, point: String)] {
    let listed = (contents("/proc/self/mountinfo") ?? "").split(separator: "\n").compactMap {
      line -> (version: GroupVersion, root: String, point: String)? in
      // id, parent, device, root, mount point, options, optional fields, "-", type, source, options
      let fields = line.split(separator: " ")
      guard fields.count > 5, let mark = fields.firstIndex(of: "-"), mark + 1 < fields.count
      else { return nil }
      let (root, point) = (String(fields[3]), String(fields[4]))
      if fields[mark + 1] == "cgroup2" { return (.second, root, point) }
      guard fields[mark + 1] == "cgroup", mark + 3 < fields.count,
        fields[mark + 3].split(separator: ",").contains("memory")
      else { return nil }
      return (.first, root, point)
    }
    return listed.isEmpty
      ? [(.second, "/", "/sys/fs/cgroup"), (.first, "/", "/sys/fs/cgroup/memory")] : listed
  }

  /// The folder of `group`, and those of the groups around it up to the mount point, which shows the
  /// group `root`. In a container the mount shows the container's own group, whose name the process
  /// may know in full, relative to its namespace, or not at all.
  static func folders(of group: String, under point: String, showing root: String) -> [String] {
    var path = group
    if root != "/", path == root || path.hasPrefix(root + "/") { path.removeFirst(root.count) }
    var names = path.split(separator: "/").filter { $0 != ".." && $0 != "." }
    var folders: [String] = []
    while true {
      folders.append(([point] + names.map(String.init)).joined(separator: "/"))
      if names.popLast() == nil { return folders }
    }
  }

  /// The number of bytes that a limit's file holds; nil for none ("max", or version 1's largest).
  static func limit(_ text: String) -> Int? {
    let word = text.filter { !$0.isWhitespace }
    guard let limit = Int(word), limit >= 0, limit < Int.max - 4096 else { return nil }
    return limit
  }

  /// What the other processes of a group hold of memory that can't be given back.
  private func others(in folder: String, _ version: GroupVersion, own: Int) -> Int {
    guard let text = contents("\(folder)/memory.stat") else { return 0 }
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count == 2, fields[0] == version.anonymous, let bytes = Int(fields[1]) {
        return max(0, bytes - own)
      }
    }
    return 0
  }
}
