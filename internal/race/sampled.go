package race

import "math/bits"

// Sampled says that a test may take some of its cases in place of all. So it is under the race detector, and where an
// int has 32 bits: these runs repeat one that has had all cases, and a case shows them what many like it do. What an
// int can break, sizes and counts near a limit, is no case to leave out.
const Sampled = Enabled || bits.UintSize == 32
