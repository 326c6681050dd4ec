// Finds the members (methods, constructors, types, fields, initializers) of the types in Java text:
// what the function scanner needs of the language, and no more. Strings, text blocks, character
// literals and comments are understood. Thread rule: free functions without state; any thread.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace bitsweep::benchmark {

enum class JavaMemberKind {
  kMethod,  // With a body and a result type.
  kType,    // class, interface, enum, record, @interface
  kOther,   // Constructor, initializer block, field, method without a body.
};

/// A member that is complete: its closing brace or semicolon was seen.
struct JavaMember {
  JavaMemberKind kind = JavaMemberKind::kOther;
  std::size_t end = 0;    // Just past its last byte.
  std::size_t depth = 0;  // Number of types around it; 0 at file level.
};

/// Complete members in the order of their ends, those of nested types before the type itself. What
/// lies in bodies of methods, initializers and field values is not looked at (anonymous and local
/// classes, lambdas).
std::vector<JavaMember> ScanJava(std::string_view text);

}  // namespace bitsweep::benchmark
