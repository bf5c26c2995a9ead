package clustertest

import (
	"bytes"
	"sync"
)

// SharedLog is a log that may be read while nodes write.
type SharedLog struct {
	mu   sync.Mutex // protects text: readers, loops and the test
	text bytes.Buffer
}

func (l *SharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *SharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
