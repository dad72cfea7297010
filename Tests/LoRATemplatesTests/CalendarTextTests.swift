import LoRATemplates
import Testing

@Suite struct CalendarTextTests {
  @Test(arguments: [
    ("2026-12-01", "2026-12-01T00:00:00"), ("2024-02-29T23:59:58", "2024-02-29T23:59:58"),
    ("2000-02-29", "2000-02-29T00:00:00"), ("0099-01-02", "0099-01-02T00:00:00"),
  ])
  func moments(text: String, written: String) {
    #expect(CalendarTime(text).map(\.description) == written)
  }

  @Test(arguments: [
    "", "2026", "2026-13-01", "2026-00-10", "2026-04-31", "2025-02-29", "1900-02-29", "2026-1-01",
    "2026-12-01T", "2026-12-01T24:00:00", "2026-12-01T10:60:00", "2026-12-01T10:00:60",
    "2026-12-01T10:00", "2026-12-01 10:00:00", "0000-01-01", "2026-12-0١",
  ])
  func noMoments(text: String) { #expect(CalendarTime(text) == nil) }
}
