import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a process of the command line arranges with the system before it does anything: the library
/// leaves signals, streams and limits to the program that it is part of.
enum ProcessSetup {
  /// The least address space that is worth starting with, in bytes.
  private static let leastAddressSpace = 24 << 20

  static func prepare() {
    fillStandardStreams()
    startAgainForOpenBLAS()
    // A reader that goes away is an error of the write, which must not lose what a training learned.
    _ = signal(SIGPIPE, SIG_IGN)
    // So is a limit on the size of files.
    _ = signal(SIGXFSZ, SIG_IGN)
    MappedFile.exitOnTruncation()
    BufferPool.shared.exhaustionHandler = { message in
      StandardError.line("error: \(message)")
      _exit(1)
    }
    checkAddressSpace()
    for problem in EnvironmentVariables.problems { StandardError.line("warning: \(problem)") }
  }

  /// Puts something in the place of a standard stream that is closed: the next file that is opened
  /// would get its number, and progress would be written into a model.
  private static func fillStandardStreams() {
    for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(number, F_GETFD) == -1 && errno == EBADF {
      // Opened the wrong way round, so that using it fails as a closed one does.
      _ = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Under a limit of address space, starts this program again with `OPENBLAS_NUM_THREADS=1`.
  ///
  /// OpenBLAS starts threads before `main`, which this program has no use for. Each reserves 128 MiB,
  /// and where a limit refuses that it asks for ever, also when the program wants to end.
  private static func startAgainForOpenBLAS() {
    #if os(Linux)
      let isLimited = (AvailableMemory.addressSpaceLimit ?? AvailableMemory.dataLimit) != nil
      guard isLimited, getenv("OPENBLAS_NUM_THREADS") == nil else { return }
      setenv("OPENBLAS_NUM_THREADS", "1", 1)
      var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
      guard readlink("/proc/self/exe", &path, path.count - 1) > 0 else { return }
      // Returns only if it fails; then things are as they were.
      execv(path, CommandLine.unsafeArgv)
    #endif
  }

  /// Ends with a message where the limit of address space leaves nothing to compute with: an
  /// allocation that fails somewhere in the language's runtime has none.
  private static func checkAddressSpace() {
    guard let left = AvailableMemory.addressSpaceLeft, left < leastAddressSpace,
      let limit = AvailableMemory.addressSpaceLimit ?? AvailableMemory.dataLimit
    else { return }
    StandardError.line(
      "error: this process may have \(limit >> 20) MiB of memory (ulimit), of which \(left >> 20) MiB "
        + "are left to work with, too few for any model; raise the limit")
    _exit(1)
  }
}
