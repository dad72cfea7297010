/// The scripts of code points as the pre-tokenizer `UnicodeScripts` of `tokenizers` has them, which are
/// those of Unicode 9: kana count as ideographs, spaces and unassigned code points as of any script.
enum ScriptClasses {
  /// The number of a code point's script; 0 for any. Numbers tell scripts apart and say nothing else.
  static func of(_ code: UInt32) -> UInt8 {
    var (low, high) = (0, table.count - 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if table[middle].start <= code { low = middle } else { high = middle - 1 }
    }
    return table[low].script
  }

  private static let table: [(start: UInt32, script: UInt8)] = {
    var start: UInt32 = 0
    return runs.split { $0 == " " || $0 == "\n" }.map { run in
      let parts = run.split(separator: ".")
      defer { start += UInt32(parts[0], radix: 36) ?? 0 }
      return (start, parts.count > 1 ? UInt8(parts[1], radix: 36) ?? 0 : 0)
    }
  }()

  /// Runs of code points from 0 on, in base 36: their length, and behind a dot their script. Made by
  /// asking `tokenizers` 0.23 about each pair of neighbours.
  private static let runs = """
    w.1 1 w.1 q.2 6.1 q.2 1b.1 1.2 f.1 1.2 5.1 n.2 1.1 v.2 1.1 ch.2 13.1 5.2 5.1 2.3 k.1 34.4
    4.5 1.1 3.5 2 4.5 1.1 1.5 4 1.5 1.1 1.5 1.1 3.5 1 1.5 1 k.5 1 1r.5 e.6 g.5 3p.7 2.4 4p.7
    1 12.8 2 7.8 1 13.8 1 1.1 1.8 2 3.8 1 1j.9 8 r.9 5 5.9 b 5.a 1.1 6.a 1.1 e.a 2.1 1 1.a
    1.1 w.a 1.1 a.a b.4 q.a 1.4 30.a 1.1 y.a e.b 1 1o.b 2 3.b 1c.a 1e.c e 1n.d 5 1a.e 2 f.e 1
    s.f 2 1.f 1t l.a 1 8.a m e.a 1.1 t.a 29.g 2.4 h.g 2.1 q.g 4.h 1 8.h 2 2.h 2 m.h 1 7.h 1
    1.h 3 4.h 2 9.h 2 2.h 2 4.h 8 1.h 4 2.h 1 5.h 2 m.h 5 3.i 1 6.i 4 2.i 2 m.i 1 7.i 1 2.i 1
    2.i 1 2.i 2 1.i 1 5.i 4 2.i 2 3.i 3 1.i 7 4.i 1 1.i 7 g.i b 3.j 1 9.j 1 3.j 1 m.j 1 7.j 1
    2.j 1 5.j 2 a.j 1 3.j 1 3.j 2 1.j f 4.j 2 c.j 7 1.j 7 3.k 1 8.k 2 2.k 2 m.k 1 7.k 1 2.k 1
    5.k 2 9.k 2 2.k 2 3.k 8 2.k 4 2.k 1 5.k 2 i.k a 2.l 1 6.l 3 3.l 1 4.l 3 2.l 1 1.l 1 2.l 3
    2.l 3 3.l 3 c.l 4 5.l 3 3.l 1 4.l 2 1.l 6 1.l e l.l 5 4.m 1 8.m 1 3.m 1 n.m 1 g.m 3 8.m 1
    3.m 1 4.m 7 2.m 1 3.m 5 4.m 2 a.m 8 8.m 4.n 1 8.n 1 3.n 1 n.n 1 a.n 1 5.n 2 9.n 1 3.n 1
    4.n 7 2.n 7 1.n 1 4.n 2 a.n 1 2.n e 3.o 1 8.o 1 3.o 1 15.o 2 8.o 1 3.o 1 6.o 4 g.o 2 q.o
    2 2.p 1 i.p 3 o.p 1 9.p 1 1.p 2 7.p 3 1.p 4 6.p 1 1.p 1 8.p 6 a.p 2 3.p c 1m.q 4 1.1 s.q
    11 2.r 1 1.r 2 2.r 1 1.r 2 1.r 6 4.r 1 7.r 1 3.r 1 1.r 1 1.r 2 2.r 1 d.r 1 3.r 2 5.r 1
    1.r 1 6.r 2 a.r 2 4.r w 20.s 1 10.s 4 13.s 1 10.s 1 f.s 1 7.s 4.1 2.s 11 4g.t 12.u 1 1.u
    5 1.u 2 17.u 1.1 4.u 74.v 21.w 1 4.w 2 7.w 1 1.w 1 4.w 2 15.w 1 4.w 2 x.w 1 4.w 2 7.w 1
    1.w 1 4.w 2 f.w 1 1l.w 1 4.w 2 1v.w 2 w.w 3 q.w 6 2e.x 2 6.x 2 hs.y t.z 3 23.10 3.1 b.10
    7 d.11 1 7.11 b l.12 2.1 9 k.13 c d.14 1 3.14 1 2.14 c 2m.15 2 a.15 6 a.15 6 2.16 2.1
    1.16 1.1 9.16 1 a.16 6 2g.16 8 17.16 5 1y.y a v.17 1 c.17 4 c.17 4 1.17 3 c.17 u.18 2
    5.18 b 18.19 4 q.19 6 b.19 3 2.19 w.15 s.1a 2 2.1a 1r.1b 1 t.1b 2 b.1b 6 a.1b 6 e.1b 2
    f.4 1t 24.1c 4 19.1c 3 1s.1d 1g.1e 8 4.1e 1k.1f 3 f.1f 3 3.1f 1c.1g 9.7 1j 8.1d 8 3.4 1.1
    d.4 1.1 7.4 4.1 1.4 6.1 1.4 2.1 1 2.4 6 12.2 5.5 1.7 1d.2 5.5 4.2 5.5 d.2 1.7 1y.2 1.5
    1i.4 5 5.4 74.2 m.5 2 6.5 2 12.5 2 6.5 2 8.5 1 1.5 1 1.5 1 1.5 1 v.5 2 1h.5 1 f.5 1 e.5 2
    6.5 1 j.5 2 3.5 1 9.5 1 c.1 2.4 2f.1 1 b.1 1.2 2 b.1 1.2 f.1 1 d.2 3 v.1 h x.4 f 12.1 1.5
    3.1 2.2 6.1 1.2 r.1 1.2 h.1 15.2 3.1 4 hb.1 1 13.1 p b.1 l ps.1 74.1h hg.1 2 w.1 2 y.1 3
    c.1 1 8.1 q 4.1 g 1b.1i 1 1b.1i 1 w.2 38.6 5 7.6 12.u 1 1.u 5 1.u 2 1k.1j 7 2.1j e 1.1j
    n.w 9 7.w 1 7.w 1 7.w 1 7.w 1 7.w 1 7.w 1 7.w 1 7.w 1 w.7 1x.1 1n q.1k 1 2h.1k c 5y.1k q
    c.1 4 5.1 1.1k 1.1 1.1k p.1 9.1k 4.4 2.v 8.1 4.1k 4.1 1 2e.1k 2 2.4 2.1 3.1k 1.1 2i.1k
    1.1 4.1k 5 15.3 3 2m.v 1 g.1 r.3 5 10.1 c g.1k v.v 1 1s.1 v.v 29.1 1b.1k 1 2g.1k 4o.1
    52u.1k a 1s.1 g5y.1k 16 wd.1l 3 1j.1l 9 1c.1m 8c.1n k 2o.7 2g.1o 8 y.1 2u.2 3.1 10.2 1
    8.2 1r 9.2 18.1p 4 a.1 6 1k.1q 8 1y.1r 8 c.1r 6 u.g 2 1a.1s 1.1 1.1s 10.1t b 1.1t t.v 3
    26.1u 1 1.1 a.1u 4 2.1u v.t 1 1j.1v 9 e.1v 2 a.1v 2 4.1v w.t 1v.1w o 5.1w n.1x a 6.w 2
    6.w 2 6.w 9 7.w 1 7.w 1 17.2 1.1 9.2 1.5 a 28.x 1a.1x 2 a.1x 6 8mc.v c n.v 4 1d.v 6is
    a6.1k 2 2y.1k 12 7.2 c 5.8 5 q.9 1 5.9 1 1.9 1 2.9 1 2.9 1 a.9 36.a h a3.a 2.1 g 1s.a 2
    1i.a 14 e.a 2 g.4 a.1 6 e.4 2.7 z.1 1 j.1 1 4.1 4 5.a 1 3r.a 2 1.1 1 w.1 q.2 6.1 q.2 b.1
    a.1k 1.1 19.1k 2.1 v.v 3 6.v 2 6.v 2 6.v 2 3.v 3 7.1 1 7.1 a 5.1 2 c.1y 1 q.1y 1 j.1y 1
    2.1y 1 f.1y 2 e.1y y 3f.1y 5 3.1 4 19.1 3 9.1 27.5 1 c.1 4 1.5 1b 19.1 1.4 3m t.1z 3
    1d.20 f 1.4 r.1 4 10.21 c r.22 5 17.23 5 u.24 1 1.24 10.25 4 e.25 16 28.26 1c.27 u.28 2
    a.28 6 10.29 4 10.29 4 14.2a 8 1g.2b b 1.2b 40 8n.2c 9 m.2c a 8.2c 48 6.2d 2 1.2d 1 18.2d
    1 2.2d 3 1.2d 2 1.2d m.2e 1 9.2e w.2f v.2g 8 9.2g 1c j.2h 1 2.2h 5 5.2h s.2i 3 1.2i q.2j
    5 1.2j 1s w.2k o.2l 4 k.2l 2 1a.2l 4.2m 1 2.2m 5 8.2m 1 3.2m 1 r.2m 4 3.2m 4 9.2m 8 9.2m
    7 w.2n w.2o w 13.2p 4 c.2p 9 1i.2q 3 7.2q m.2r 2 8.2r j.2s 5 8.2s i.2t 7 4.2t c 7.2t 28
    21.2u 1j 1f.2v d 1f.2v 7 6.2v 9s v.a ap 26.2w 4 u.2w f 1.2w 1u.2x e p.2y 7 a.2y 6 1h.2z 1
    e.2z c 13.30 9 26.31 2 g.31 1 k.p b i.32 1 18.32 1t 7.33 1 1.33 1 4.33 1 f.33 1 b.33 6
    1n.34 5 a.34 6 4.35 1 8.35 2 2.35 2 m.35 1 7.35 1 2.35 1 5.35 2 9.35 2 2.35 2 3.35 2 1.35
    6 1.35 5 7.35 2 7.35 3 5.35 3v 2i.36 1 1.36 1 1.36 y 20.37 8 a.37 4m 1i.38 2 12.38 y
    1x.39 b a.39 6 d.16 j 1k.3a 8 a.3a 1i q.3b 3 f.3b 4 g.3b 9s 2b.3c c 1.3c cg 1l.3d 7b 9.3e
    1 19.3e 1 e.3e a t.3e 3 w.3f 2 m.3f 1 e.3f nd pm.3g 2u 33.3g 1 5.3g b 5g.3g 24c tr.3h 34h
    g7.3i 6nt ft.1o 7 v.3j 1 a.3j 4 2.3j 2o u.3k 2 6.3k a 1y.3l a a.3l 1 7.3l 1 l.3l 5 j.3l
    og 1x.3m b 1b.3m g h.3m 1s 1.3n v 4q5.3n j kz.3n 7bh 2.1k 2da 2z.3o 5 d.3o 3 9.3o 7 a.3o
    2 4.3o 4.1 3to 6u.1 a 13.1 2 1q.1 3.4 h.1 8.4 2.1 7.4 u.1 4.4 1n.1 n 1y.5 56 2f.1 9 i.1
    3y 2d.1 1 1z.1 1 2.1 2 1.1 2 2.1 2 4.1 1 c.1 1 1.1 1 7.1 1 1t.1 1 4.1 2 8.1 1 7.1 1 s.1 1
    4.1 1 5.1 1 1.1 3 7.1 1 9g.1 2 84.1 2 1e.1 i4.3p f 5.3p 1 f.3p 11s 7.1i 1 h.1i 2 7.1i 1
    2.1i 1 5.1i 1jp 5h.3q 2 g.3q 15 23.3r 5 a.3r 4 2.3r ww 4.a 1 r.a 1 2.a 1 1.a 2 1.a 1 a.a
    1 4.a 1 1.a 1 1.a 6 1.a 4 1.a 1 1.a 1 1.a 1 3.a 1 2.a 1 1.a 2 1.a 1 1.a 1 1.a 1 1.a 1 1.a
    1 2.a 1 1.a 2 4.a 1 7.a 1 4.a 1 4.a 1 1.a 1 a.a 1 h.a 5 3.a 1 5.a 1 h.a 1g 2.a 7i 18.1 4
    2s.1 c f.1 2 f.1 1 f.1 1 11.1 a d.1 3 v.1 1 1o.1 4 1p.1 1l q.1 1.1k 2.1 d 18.1 4 9.1 7
    2.1 4u r7.1 d d.1 3 7.1 9 38.1 c 2d.1 17 c.1 4 1k.1 8 a.1 6 14.1 8 u.1 2q f.1 1 8.1 8 1.1
    2 c.1 1 c.1 4 f.1 x i.1 1a 1.1 18f wyf.1k 15 379.1k b 66.1k 2 4g2.1k 866 f2.1k fher 1.1 u
    2o.1 3k 6o.4 47bk
    """
}
