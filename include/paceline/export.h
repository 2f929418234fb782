// What a shared library of Paceline shows to programs: everything else in it is hidden, so that no
// name of its inside can meet one of a program's.
#pragma once

/// Stands before each class and function of the public face that has code outside of the headers.
#define PACELINE_API [[gnu::visibility("default")]]
