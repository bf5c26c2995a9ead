package link

import (
	"fmt"
	"os"
	"reflect"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests are those of the package. All links without calls share what calls have made of them, which is nothing: one
// test that sees it changed has seen the change of another.
type tests struct{ *testing.M }

func (t tests) Run() int {
	code := t.M.Run()
	if untouched := (&exchange{path: pathSize{size: BasePacket}}); !reflect.DeepEqual(&nothing, untouched) {
		fmt.Fprintln(os.Stderr, "FAIL: a step of a link without calls has changed what all such links share")
		return max(code, 1)
	}
	return code
}
