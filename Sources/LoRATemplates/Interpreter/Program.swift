/// A template that was read and checked, ready to run.
struct Program: Sendable {
  let source: Text
  let names: NameTable
  let reserved: ScopeAnalysis.Reserved
  let body: [Statement]
  let frame: Frame
  let blocks: [Name: Block]

  struct Block: Sendable {
    let body: [Statement]
    let frame: Frame
  }

  /// Reads a template. `filters` and `tests` are the names of those that exist.
  init(
    _ template: String, filters: Set<Text>, tests: Set<Text>
  ) throws(TemplateError) {
    let source = Lexer.normalized(template)
    do throws(Failure) {
      var lexer = Lexer(source)
      var parser = Parser(try lexer.run())
      let statements = try parser.statements(until: [])
      reserved = ScopeAnalysis.Reserved(&parser.names)
      let analysis = ScopeAnalysis(
        names: parser.names, reserved: reserved, filters: filters, tests: tests)
      (body, frame) = try analysis.root(statements)
      var blocks: [Name: Block] = [:]
      for (name, statements, _) in parser.blocks {
        let (body, frame) = try analysis.root(statements, isBlock: true)
        blocks[name] = Block(body: body, frame: frame)
      }
      self.blocks = blocks
      names = parser.names
      self.source = source
    } catch {
      throw error.located(in: source)
    }
  }
}
