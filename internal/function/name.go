package function

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
)

// NameOf is the name that a function has in its source: of a method its own, without that of its type. A func literal
// has none.
func NameOf(fn any) (string, error) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return "", fmt.Errorf("%T is not a function, or is nil", fn)
	}
	name := symbolOf(v)
	if method, ok := strings.CutSuffix(name, "-fm"); ok {
		return method[strings.LastIndexByte(method, '.')+1:], nil
	}
	if expr := methodWithoutReceiver(v); expr != "" {
		return "", withoutReceiver(expr)
	}
	// what reflect makes is called by one of two names
	if strings.ContainsAny(name, ".[") || name == "makeFuncStub" || name == "methodValueCall" {
		return "", errors.New("the function has no name of its own")
	}
	return name, nil
}

// checkReceiver refuses a method expression, as which its receiver would be one more parameter.
func checkReceiver(fn reflect.Value) error {
	if expr := methodWithoutReceiver(fn); expr != "" {
		return withoutReceiver(expr)
	}
	return nil
}

func withoutReceiver(expr string) error {
	method := expr[strings.LastIndexByte(expr, '.')+1:]
	return fmt.Errorf("%s is a method without its receiver: give that of a value, as in v.%s", expr, method)
}

// methodWithoutReceiver is the method expression that fn is, such as (*Stock).Add; empty if it is none. It is one if
// its name is that of a method of its first parameter's type.
func methodWithoutReceiver(fn reflect.Value) string {
	if fn.Type().NumIn() == 0 {
		return ""
	}
	name, receiver := symbolOf(fn), fn.Type().In(0)
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	typ := receiver.Name()
	if receiver.Kind() == reflect.Pointer {
		typ = "(*" + receiver.Elem().Name() + ")"
	}
	if typ == "" || name[:dot] != typ {
		return ""
	}
	return name
}

// symbolOf is the name of a function without its package: "work00", "(*Stock).Add", "main.func1", "Stock.Add-fm".
func symbolOf(fn reflect.Value) string {
	f := runtime.FuncForPC(fn.Pointer())
	if f == nil {
		return ""
	}
	name := f.Name()
	name = name[strings.LastIndexByte(name, '/')+1:]
	return name[strings.IndexByte(name, '.')+1:]
}
