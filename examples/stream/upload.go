package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"

	"broach"
)

// An upload streams what does not fit, or should not be, in one message. The function reads as it comes, and whoever
// sends waits while it does not.

// store is the function. It keeps no more than one piece in memory.
func store(name string, pieces iter.Seq2[[]byte, error]) (string, error) {
	sum, size := sha256.New(), 0
	for piece, err := range pieces {
		if err != nil {
			return "", err // the caller failed, or has gone: nothing is stored
		}
		sum.Write(piece)
		size += len(piece)
	}
	return fmt.Sprintf("%s: %d bytes, %x", name, size, sum.Sum(nil)[:4]), nil
}

// piecesOf reads a file, or whatever else can be read. That reading failed ends the upload.
func piecesOf(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for piece := make([]byte, 32<<10); ; {
			n, err := r.Read(piece)
			if n > 0 && !yield(piece[:n], nil) { // it is copied before yield returns
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

func upload(node *broach.Node) {
	provider := neighbour(node)
	defer provider.Close()
	check(provider.Register("store", store))
	knows(node, "store", 1)
	file := bytes.NewReader(make([]byte, 20<<20))
	stored := must(broach.Call[string](context.Background(), node.Caller("store"), "zeros", piecesOf(file)))
	fmt.Println("upload:", stored)
}
