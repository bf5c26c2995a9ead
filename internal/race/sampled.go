package race

import (
	"math/bits"
	"runtime"
)

// Sampled says that a test may take some of its cases in place of all. So it is under the race detector, where an int
// has 32 bits, and on s390x, which has the other order of bytes and is emulated at a tenth of the speed: these runs
// repeat one that has had all cases, and a case shows them what many like it do. What an int can break, sizes and
// counts near a limit, is no case to leave out, and no format is for the order of bytes.
const Sampled = Enabled || bits.UintSize == 32 || runtime.GOARCH == "s390x"
